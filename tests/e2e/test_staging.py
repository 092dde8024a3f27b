"""Staging, unchanged, on the lab: an operator's own site and pins, the same commands.

bootstrap/config/staging.py is the shipped one, and the commands are the README's, typed as they stand there. site.py is the
desk's own, as an operator's would be. The shipped K3s pin refuses the stand-in; for the deploy the desk pins the stand-in
itself, in its own pins.py.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.docs.reader import at, follow, installed

pytestmark = pytest.mark.e2e
ADDRESSES = {
    "staging-server-1": "10.10.0.20",
    "staging-agent-1": "10.10.0.30",
    "staging-agent-2": "10.10.0.31",
}
DEPLOY = ("inventories/staging.py", "deploys/k3s.py")
SITE = '''"""The desk's own site."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from bootstrap.config.access import Access
from bootstrap.config.network import Network, Subnet4, Subnet6
from bootstrap.config.proxmox import Proxmox

PROXMOX = Proxmox(endpoints=("https://10.10.0.5:8006",), nodes=("pve1", "pve2", "pve3"), disk_storage="vmdata")
NETWORK = Network(
    ipv4=Subnet4(network=IPv4Network("10.10.0.0/24"), gateway=IPv4Address("10.10.0.1")),
    ipv6=Subnet6(network=IPv6Network("fd10:10::/64"), gateway=IPv6Address("fd10:10::1")),
    dns=(IPv4Address("10.10.0.1"),),
    search_domain="home.arpa",
)
ACCESS = Access(key_file="inventories/staging_ed25519")
TIMEZONE = "Europe/Berlin"
NTP: tuple[str, ...] = ()
DOMAIN = "home.arpa"
GIT_REPOSITORY = "{repository}"
GIT_REVISION = "main"


def infisical(environment: str) -> None:
    return None
'''


PINS = """
# The desk's own pins: the lab's test doubles.
K3S = Pin(**{k3s!r})
ARGOCD = Pin(**{argocd!r})
"""


@pytest.fixture(scope="module")
def staging(desk: Any) -> Any:
    """The desk with its own site and a lab for staging."""
    installed(desk)
    key = desk.folder / "inventories" / "staging_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    site = desk.folder / "bootstrap" / "config" / "site.py"
    site.write_text(SITE.format(repository="http://10.10.0.1/rzp-infra.git"))
    desk.run("git", "add", "-A")
    desk.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "Our site")
    desk.run("rzp-bootstrap", "lab", "start", "--for", "staging")
    return desk


def _editor(desk: Any) -> str:
    """A program in the place of an editor: it writes what an operator of this lab knows into site.py and pins.py."""
    endpoint = desk.endpoint
    pins = desk.folder / "bootstrap" / "config" / "pins.py"
    prepared = {"site.py": SITE.format(repository=endpoint["repository"]["url"])}
    prepared["pins.py"] = pins.read_text() + PINS.format(k3s=endpoint["k3s"], argocd=endpoint["argocd"])
    for name, text in prepared.items():
        (desk.folder.parent / name).write_text(text)
    editor = desk.folder.parent / "editor"
    editor.write_text(
        f'#!/bin/sh\nexec cp {desk.folder.parent}/site.py {desk.folder.parent}/pins.py "${{1%/*}}"\n'
    )
    editor.chmod(0o755)
    return str(editor)


def test_the_readmes_commands_make_staging_a_cluster(staging: Any) -> None:
    (block,) = at("staging")
    token = staging.endpoint["token"]
    answers = {r"proxmox\.token of staging: ": token, r"Repeat for confirmation: ": token}

    # for staging the lab decides nothing: the mirror that tests name would be asked
    said = follow(
        block,
        staging,
        shell=("rzp-bootstrap", "lab", "exec", "--"),
        limit=420,
        answers=answers,
        EDITOR=_editor(staging),
        RZP_ARGOCD_MIRROR="",
    ).screen

    assert "Next: pyinfra inventories/staging.py deploys/k3s.py" in said
    assert "commit that file" in said
    for name, address in ADDRESSES.items():
        assert staging.ssh("staging", address, "hostname").strip() == name
    nodes = json.loads(
        staging.ssh(
            "staging", ADDRESSES["staging-server-1"], "sudo k3s kubectl get nodes -o json 2>/dev/null"
        )
    )
    assert {node["metadata"]["name"] for node in nodes["items"]} == set(ADDRESSES)


def test_a_second_run_changes_nothing(staging: Any) -> None:
    assert "no changes" in staging.inside("rzp-bootstrap", "staging", "--dry-run").stdout
    said = staging.inside("pyinfra", "--dry", "--json", *DEPLOY).stdout
    plan = json.loads(said[said.index("{") : said.rindex("}") + 1])["plan"]
    assert [step["name"] for step in plan if step["hosts_with_change"]] == []


def test_the_shipped_pin_refuses_the_stand_in_and_what_runs_is_left_alone(staging: Any) -> None:
    server, ask = ADDRESSES["staging-server-1"], "k3s --version; systemctl show -P ActiveEnterTimestamp k3s"
    pins = staging.folder / "bootstrap" / "config" / "pins.py"
    doubles, before = pins.read_text(), staging.ssh("staging", server, ask)
    pins.write_text(doubles.split("\n# The desk's own pins")[0])
    try:
        staging.inside("rzp-bootstrap", "inventory", "staging")
        said = staging.inside(
            "pyinfra", "-y", *DEPLOY, expect=1, RZP_K3S_BINARY=str(staging.lab / "www" / "k3s")
        ).stdout
    finally:
        pins.write_text(doubles)
        staging.inside("rzp-bootstrap", "inventory", "staging")

    assert "835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f" in said
    assert "sha256" in said
    assert staging.ssh("staging", server, ask) == before


def test_a_machine_whose_address_already_answers_is_not_created(staging: Any) -> None:
    staging.ssh("staging", ADDRESSES["staging-agent-1"], "sudo ip address add 10.10.0.32/24 dev eth0")
    config = staging.folder / "bootstrap" / "config" / "staging.py"
    shipped = config.read_text()
    try:
        config.write_text(shipped.replace("count=2,", "count=3,"))
        said = staging.inside("rzp-bootstrap", "staging", "-y", expect=1).stdout
    finally:
        config.write_text(shipped)

    assert (
        "staging-agent-3: address 10.10.0.32 already answers on port 22, and the machine does not exist yet"
        in said
    )
    assert {vm["vmid"] for vm in staging.api("GET", "/cluster/resources", type="vm")} == {120, 130, 131}


def test_a_smaller_pool_deletes_only_after_the_environments_name_was_given(staging: Any) -> None:
    config = staging.folder / "bootstrap" / "config" / "staging.py"
    shipped = config.read_text()
    try:
        config.write_text(shipped.replace("count=2,", "count=1,"))
        refused = staging.inside("rzp-bootstrap", "staging", "-y", expect=1).stdout
        assert "--confirm-destroy staging" in refused
        assert len(staging.api("GET", "/cluster/resources", type="vm")) == 3
        staging.inside("rzp-bootstrap", "staging", "-y", "--confirm-destroy", "staging")
    finally:
        config.write_text(shipped)

    assert {vm["vmid"] for vm in staging.api("GET", "/cluster/resources", type="vm")} == {120, 130}


def test_a_full_disk_is_one_line_and_keeps_the_old_file(staging: Any) -> None:
    kept = staging.folder / "inventories" / "group_data"
    script = (
        f"mount -t tmpfs -o size=8k none {kept} && head -c 8192 /dev/zero > {kept}/ballast;"
        " rzp-bootstrap inventory staging; code=$?; ls {kept}; exit $code".replace("{kept}", str(kept))
    )

    said = staging.run("unshare", "-m", "--propagation", "private", "sh", "-c", script, expect=1).stdout

    assert "No space left on device" in said
    assert "Traceback" not in said
    assert (kept / "staging.py").exists()
