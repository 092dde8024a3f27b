"""What doctor finds on a lab, and the lines that it prints for a new Proxmox."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap import doctor
from bootstrap.config.base import Environment
from bootstrap.errors import InvalidEnvironment
from bootstrap.secrets import Secret


def _faults(lab: Any) -> list[tuple[str, str, str]]:
    found = doctor.check(lab.client, lab.environment, lab.machines)
    return [(f.place, f.text, f.fix) for f in found if f.state == "fail" and f.place != "this computer"]


@pytest.mark.parametrize("fresh_lab", [{"pve": "9.2"}, {"pve": "8.4"}], indirect=True, ids=["9.2", "8.4"])
def test_nothing_is_missing_on_a_fresh_lab_and_only_reads_are_made(fresh_lab: Any) -> None:
    lab = fresh_lab
    client = lab.client()

    found = doctor.check(lambda: client, lab.environment, lab.machines)

    assert [f for f in found if f.state == "fail" and f.place != "this computer"] == []
    assert {method for method, _ in client.calls} == {"GET"}
    assert (
        found[0].text
        == f"{lab.endpoint['url']} answers, its certificate checked against the SHA-256 fingerprint"
    )


def _without_privilege(lab: Any) -> None:
    lab.root().put("/access/roles/RZPNode", {"privs": "Sys.Audit"})


def _without_grant(lab: Any) -> None:
    for who in ({"users": "rzp@pve"}, {"tokens": "rzp@pve!infra"}):
        lab.root().put("/access/acl", {"path": "/storage/vmdata", "roles": "RZPDisks", "delete": True, **who})


def _without_import(lab: Any) -> None:
    lab.root().put("/storage/local", {"content": "iso,vztmpl,backup"})


def _without_storage(lab: Any) -> None:
    lab.environment = lab.environment.model_copy(
        update={"proxmox": lab.environment.proxmox.model_copy(update={"image_storage": "nas"})}
    )


def _without_bridge(lab: Any) -> None:
    network = lab.environment.network.model_copy(update={"bridge": "vmbr9"})
    lab.environment = lab.environment.model_copy(update={"network": network})


def _without_image(lab: Any) -> None:
    image = lab.environment.image.model_copy(update={"url": lab.endpoint["files"] + "/none.qcow2"})
    lab.environment = lab.environment.model_copy(update={"image": image})


def _without_pin(lab: Any) -> None:
    image = lab.environment.image.model_copy(update={"checksum": None})
    lab.environment = lab.environment.model_copy(update={"image": image})


def _without_node(lab: Any) -> None:
    proxmox = lab.environment.proxmox.model_copy(update={"nodes": ("pve1", "pve7")})
    lab.environment = lab.environment.model_copy(update={"proxmox": proxmox})


@pytest.mark.parametrize(
    ("break_it", "place", "text", "fix"),
    [
        (_without_privilege, "rzp@pve!infra on /nodes/pve1", "lacks Sys.AccessNetwork",
         "pveum role modify RZPNode --privs Sys.AccessNetwork --append 1"),
        (_without_grant, "rzp@pve!infra on /storage/vmdata", "lacks Datastore.AllocateSpace",
         "pveum acl modify /storage/vmdata --roles RZPDisks --users rzp@pve --tokens 'rzp@pve!infra'"),
        (_without_import, "pve1, storage local", "does not take import",
         "pvesm set local --content backup,iso,vztmpl,import"),
    ],
)  # fmt: skip
def test_what_proxmox_lacks_is_named_with_the_line_that_mends_it(
    fresh_lab: Any, break_it: Callable[[Any], None], place: str, text: str, fix: str
) -> None:
    break_it(fresh_lab)

    assert (place, text, fix) in _faults(fresh_lab)


@pytest.mark.parametrize(
    ("break_it", "place", "text", "fix"),
    [
        (_without_storage, "pve1, storage nas", "is not there, or may not be seen; seen are local, vmdata", "image_storage"),
        (_without_bridge, "pve1, bridge vmbr9", "is not there, or may not be seen; seen are vmbr0", "network.bridge"),
        (_without_image, "pve1, image", "404", "set image.file to its path"),
        (_without_pin, "pve1, image", "its checksum is not known", "pins.py"),
        (_without_node, "pve7", "is no node of this Proxmox; there are pve1", "correct proxmox.nodes"),
    ],
)  # fmt: skip
def test_what_the_environment_asks_too_much_is_named_with_the_fix(
    lab: Any, break_it: Callable[[Any], None], place: str, text: str, fix: str
) -> None:
    break_it(lab)

    assert any(p == place and text in t and fix in f for p, t, f in _faults(lab)), _faults(lab)


def test_a_wrong_token_is_the_only_thing_said_about_proxmox(untouched_lab: Any) -> None:
    wrong = untouched_lab.client(secret=Secret("canary-secret"))

    first, *rest = doctor.check(lambda: wrong, untouched_lab.environment, untouched_lab.machines)

    assert (first.state, first.place) == ("fail", "Proxmox")
    assert "check the secret of token rzp@pve!infra" in first.text
    assert {finding.place for finding in rest} == {"this computer"}


def test_a_client_that_cannot_be_made_is_a_finding(untouched_lab: Any) -> None:
    def connect() -> Any:
        raise InvalidEnvironment(["proxmox.ca_file x does not exist"])

    first = doctor.check(connect, untouched_lab.environment, untouched_lab.machines)[0]

    assert (first.state, first.text) == ("fail", "proxmox.ca_file x does not exist")


def test_too_little_space_is_a_warning(lab: Any) -> None:
    agents = lab.environment.agents[0].model_copy(update={"os_disk_gib": 2_000_000})
    lab.environment = lab.environment.model_copy(update={"agents": (agents,)})

    found = doctor.check(lab.client, lab.environment, lab.machines)

    assert any(f.state == "warn" and "GiB may be needed" in f.text for f in found)


@pytest.mark.parametrize("content", [b"other", None])
def test_a_local_image_is_checked_here(lab: Any, tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "mine.img").write_bytes(content)
    image = lab.environment.image.model_copy(update={"file": Path("mine.img")})
    lab.environment = lab.environment.model_copy(update={"image": image})

    found = doctor.check(lab.client, lab.environment, lab.machines, tmp_path)

    assert next(f.text for f in found if f.place == "pve1, image").startswith(
        f"image.file {tmp_path / 'mine.img'}: "
    )


def test_print_setup_names_every_role_grant_and_content_type(production: Environment) -> None:
    lines = doctor.print_setup(production).splitlines()

    assert all(line.startswith(("pveum ", "pvesm ", "#")) or not line for line in lines)
    assert "pveum user token add rzp@pve infra --privsep 1" in lines
    assert sum(line.startswith("pveum role add RZPVM") for line in lines) == 2
    assert [line for line in lines if "VM.Monitor" in line] != [
        line for line in lines if "VM.GuestAgent.Audit" in line
    ]
    for path in (
        "/vms",
        "/storage/vmdata",
        "/storage/local",
        "/sdn/zones/localnetwork",
        "/nodes/pve1",
        "/nodes/pve3",
    ):
        for who in ("--users rzp@pve", "--tokens 'rzp@pve!infra'"):
            assert any(line.startswith(f"pveum acl modify {path} ") and line.endswith(who) for line in lines)
    assert any(
        line.startswith("pvesm set local --content") and "import" in line and "iso" in line for line in lines
    )


def test_what_print_setup_says_is_what_doctor_asks_for(fresh_lab: Any) -> None:
    """Its grants, typed for a user and a token that have none yet, leave nothing to find."""
    lab, root = fresh_lab, fresh_lab.root()
    proxmox = lab.environment.proxmox.model_copy(update={"user": "new@pve"})
    lab.environment = lab.environment.model_copy(update={"proxmox": proxmox})
    root.post("/access/users", {"userid": "new@pve"})
    secret = root.post("/access/users/new@pve/token/infra", {"privsep": True})["value"]

    def faults() -> list[str]:
        client = lab.client(user="new@pve", secret=Secret(secret))
        found = doctor.check(lambda: client, lab.environment, lab.machines)
        return [f.text for f in found if f.state == "fail" and f.place != "this computer"]

    assert "lacks VM.Allocate" in faults()
    for line in doctor.print_setup(lab.environment).splitlines():
        words = shlex.split(line, comments=True)
        if words[:3] == ["pveum", "acl", "modify"]:
            options = {name.strip("-"): value for name, value in zip(words[4::2], words[5::2], strict=True)}
            root.put("/access/acl", {"path": words[3], **options})

    assert faults() == []
