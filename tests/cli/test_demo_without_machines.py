"""The command line over HTTP, against the lab without machines: plan, apply, inventory, outputs, and bad input."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

TOKEN = "RZP_PROXMOX_TOKEN"


def _vms(bench: Any) -> dict[int, str]:
    return {vm["vmid"]: vm["status"] for vm in bench.api("GET", "/nodes/pve1/qemu", root=True)}


def test_a_plan_reads_only_and_exits_2(empty: Any) -> None:
    said = empty.run("rzp-bootstrap", "plan", "demo", "--json", expect=2).stdout

    assert [change["verb"] for change in json.loads(said)["changes"]] == [
        "fetch",
        "create",
        "create",
        "create",
    ]
    assert _vms(empty) == {}


def test_up_makes_the_machines_and_the_next_plan_finishes_them(empty: Any) -> None:
    said = empty.run("rzp-bootstrap", "demo", "-y", "--no-wait").stdout

    assert _vms(empty) == {920: "running", 930: "running", 931: "running"}
    assert "Next: pyinfra inventories/demo.py deploys/k3s.py" in said
    again = empty.run("rzp-bootstrap", "demo", "--dry-run", expect=2).stdout
    assert again.count("~ finish") == 3
    empty.run("rzp-bootstrap", "demo", "-y", "--no-wait")
    assert _vms(empty) == {920: "running", 930: "running", 931: "running"}


def test_the_outputs_have_the_old_stacks_names(empty: Any) -> None:
    values = json.loads(empty.run("rzp-bootstrap", "output", "demo", "--json").stdout)

    assert values["masterIps"] == ["10.77.0.20"]
    assert values["workerIps"] == ["10.77.0.30", "10.77.0.31"]
    assert [node["vmid"] for node in values["allNodes"]] == [920, 930, 931]
    assert values["kubeconfig"].endswith("/inventories/demo.kubeconfig")
    assert empty.run("rzp-bootstrap", "output", "demo", "masterIps").stdout == '["10.77.0.20"]\n'


def test_the_inventory_check_finds_what_is_stale_and_up_mends_it(empty: Any) -> None:
    empty.run("rzp-bootstrap", "inventory", "demo")
    empty.run("rzp-bootstrap", "inventory", "demo", "--check")
    hosts = empty.folder / "inventories" / "demo.py"
    hosts.write_text(hosts.read_text() + "# edited\n")

    said = empty.run("rzp-bootstrap", "inventory", "demo", "--check", expect=1).stdout

    assert "inventories/demo.py: not up to date; run: rzp-bootstrap inventory demo" in said
    assert "wrote inventories/demo.py" in empty.run("rzp-bootstrap", "inventory", "demo").stdout


def test_the_inventory_check_without_an_identity_checks_the_rest_and_says_so(empty: Any) -> None:
    said = empty.run("rzp-bootstrap", "inventory", "staging", "--check").stdout

    assert "known_hosts was not checked: " in said
    assert "the inventory is up to date" in said


def test_doctor_finds_nothing_to_mend_on_a_fresh_lab(empty: Any) -> None:
    said = empty.run("rzp-bootstrap", "doctor", "demo").stdout

    assert "rzp@pve!infra on /vms: has the privileges" in said
    assert " x " not in said


def test_print_setup_logs_in_nowhere(empty: Any) -> None:
    said = empty.run(
        "rzp-bootstrap", "doctor", "staging", "--print-setup", RZP_PROXMOX_URL="https://127.0.0.1:9"
    ).stdout

    for line in (
        "pveum role add",
        "pveum user add rzp@pve",
        "pveum user token add rzp@pve infra",
        "pveum acl modify",
        "pvesm set",
    ):
        assert line in said
    assert "VM.Monitor" in said
    assert "VM.GuestAgent.Audit" in said


def test_a_difference_is_never_called_no_changes(empty: Any) -> None:
    empty.run("rzp-bootstrap", "demo", "-y", "--no-wait")
    for vmid in (920, 930, 931):  # as if their seeds had been read
        empty.api("PUT", f"/nodes/pve1/qemu/{vmid}/config", root=True, scsi1="none,media=cdrom")
    for entry in empty.api("GET", "/nodes/pve1/storage/local/content", root=True, content="iso"):
        empty.api("DELETE", f"/nodes/pve1/storage/local/content/{entry['volid']}", root=True)
    empty.api("PUT", "/nodes/pve1/qemu/920/config", root=True, onboot=0, cores=3)
    empty.api("PUT", "/nodes/pve1/qemu/930/config", root=True, net0="virtio=BC:24:11:00:00:01,bridge=vmbr0")

    dry = empty.run("rzp-bootstrap", "demo", "--dry-run", expect=2).stdout
    wet = empty.run("rzp-bootstrap", "demo", "-y", "--no-wait", expect=1).stdout

    assert "change demo-server-1 (VMID 920): cores: 3 → 1; onboot: no → yes" in dry
    assert "demo-agent-1 (VMID 930) differs, only by replacement: net0 mac: BC:24:11:00:00:01" in dry
    assert "only by replacement" in wet.splitlines()[-1]
    assert "no changes" not in dry + wet
    assert empty.api("GET", "/nodes/pve1/qemu/920/config")["onboot"] == 1


def _foreign(bench: Any, **changes: Any) -> None:
    from bootstrap.machine import identity

    ours = {
        "name": "demo-server-1",
        "tags": "rzp;rzp-demo;server",
        "smbios1": f"uuid={identity('demo', 'demo-server-1')}",
    }
    bench.api("POST", "/nodes/pve1/qemu", root=True, vmid=920, memory=512, **(ours | changes))
    while "lock" in bench.api("GET", "/nodes/pve1/qemu/920/config", root=True):
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "nas"}, "name is nas"),
        ({"smbios1": "uuid=11111111-2222-4333-8444-555555555555"}, "SMBIOS UUID is 11111111"),
        ({"tags": "rzp"}, "tag rzp-demo is missing"),
    ],
    ids=["name", "uuid", "tags"],
)
def test_a_vmid_taken_by_a_foreign_vm_stops_everything_and_touches_nothing(
    empty: Any, changes: dict[str, str], said: str
) -> None:
    _foreign(empty, **changes)
    before = empty.api("GET", "/nodes/pve1/qemu/920/config", root=True)
    try:
        for verb in (("demo", "-y", "--no-wait"), ("demo", "--dry-run")):
            printed = empty.run("rzp-bootstrap", *verb, expect=1).stdout
            assert (
                f"VMID 920 on pve1 is taken by VM {changes.get('name', 'demo-server-1')} that is not ours ({said}"
                in printed
            )
        empty.run("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "demo", expect=None)
        assert empty.api("GET", "/nodes/pve1/qemu/920/config", root=True) == before
        assert _vms(empty) == {920: "stopped"}
    finally:
        empty.api("DELETE", "/nodes/pve1/qemu/920", root=True)


BAD = [
    ("environment", ("nope",), {}, "'nope' is neither a verb"),
    ("option", ("demo", "--wrong"), {}, "No such option"),
    (
        "environment of a verb",
        ("plan", "prod"),
        {},
        "prod: no such environment; there are demo, production, staging",
    ),
    (
        "shipped site",
        ("staging", "--dry-run"),
        {},
        "PROXMOX.endpoints https://192.0.2.10:8006 is a documentation value",
    ),
    (
        "wrong token",
        ("demo", "--dry-run"),
        {TOKEN: "rzp@pve!infra=00000000-0000-0000-0000-000000000000"},
        "401",
    ),
    (
        "wrong fingerprint",
        ("demo", "--dry-run"),
        {"RZP_PROXMOX_FINGERPRINT": ":".join(["AB"] * 32)},
        "fingerprint",
    ),
    ("unreachable", ("demo", "--dry-run"), {"RZP_PROXMOX_URL": "https://127.0.0.1:9"}, "https://127.0.0.1:9"),
    ("no terminal", ("demo", "--no-wait"), {}, "there is no terminal to ask on; add -y"),
    ("output", ("output", "demo", "nope"), {}, "demo: no output nope; there are environment, masterIps"),
    ("project", ("--project", "/proc", "plan", "demo"), {}, "/proc: no checkout of rzp-infra"),
    (
        "machines",
        ("demo", "-y"),
        {},
        "this lab runs without machines (rzp-bootstrap lab status); add --no-wait",
    ),
    (
        "secret",
        ("secrets", "get", "demo", "no.such"),
        {},
        "secret no.such is not set; type: rzp-bootstrap secrets set demo no.such",
    ),
    (
        "identity",
        ("secrets", "list", "demo"),
        {"RZP_AGE_IDENTITY": "/nonexistent"},
        "/nonexistent: no age identity",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_bad_input_is_a_clear_line_and_exit_1(
    empty: Any, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    ran = empty.run("rzp-bootstrap", *arguments, expect=1, **variables)

    assert said in ran.stdout
    assert "Traceback" not in ran.stdout
    assert _vms(empty) == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'disk_storage="vmdata"',
            'disk_storage="nowhere"',
            "pve1, storage nowhere: is not there, or may not be seen; seen are local, vmdata",
        ),
        (
            "network=Network(",
            'network=Network(bridge="vmbr9",',
            "pve1, bridge vmbr9: is not there, or may not be seen; seen are vmbr0",
        ),
    ],
    ids=["storage", "bridge"],
)
def test_a_missing_storage_or_bridge_is_named_before_anything_is_made(
    empty: Any, old: str, new: str, said: str
) -> None:
    config = empty.folder / "bootstrap" / "config" / "demo.py"
    shipped = config.read_text()
    try:
        config.write_text(shipped.replace(old, new))
        printed = empty.run("rzp-bootstrap", "demo", "-y", "--no-wait", expect=1).stdout
    finally:
        config.write_text(shipped)

    assert said in printed
    assert "Traceback" not in printed
    assert _vms(empty) == {}
    assert [e for e in empty.api("GET", "/nodes/pve1/storage/local/content") if e["content"] == "iso"] == []


def test_lost_secrets_are_never_made_anew_while_machines_exist(empty: Any) -> None:
    empty.run("rzp-bootstrap", "demo", "-y", "--no-wait")
    secrets = empty.folder / "inventories" / "secrets" / "demo.age"
    known = empty.folder / "inventories" / "demo.known_hosts"
    kept, before = secrets.read_text(), known.read_text()
    try:
        secrets.unlink()
        said = empty.run("rzp-bootstrap", "demo", "-y", "--no-wait", expect=1).stdout
    finally:
        secrets.write_text(kept)

    assert "machines exist, and k3s.token and ssh.host-key-seed are not in" in said
    assert known.read_text() == before


def test_a_missing_ssh_key_is_named_before_the_question(empty: Any) -> None:
    config = empty.folder / "bootstrap" / "config" / "demo.py"
    shipped = config.read_text()
    try:
        config.write_text(shipped.replace("inventories/demo_ed25519", "inventories/no_such_key"))
        said = empty.run("rzp-bootstrap", "demo", "-y", "--no-wait", expect=1).stdout
    finally:
        config.write_text(shipped)

    assert "no_such_key.pub does not exist; make it with ssh-keygen -t ed25519" in said
    assert _vms(empty) == {}


def test_another_checkout_is_refused(empty: Any, tmp_path: Any) -> None:
    for folder in ("deploys", "inventories"):
        (tmp_path / folder).mkdir()

    said = empty.run("rzp-bootstrap", "--project", str(tmp_path), "inventory", "staging", expect=1).stdout

    assert f"this rzp-bootstrap belongs to the checkout {empty.folder}" in said


def test_the_general_options_may_stand_behind_the_verb(empty: Any) -> None:
    said = empty.run(
        "rzp-bootstrap", "plan", "prod", "--debug", "--project", str(empty.folder), expect=1
    ).stdout

    assert "Traceback" in said
    assert "prod: no such environment" in said


def test_a_wrong_image_checksum_is_named_and_no_machine_is_made(bench: Any) -> None:
    pins = bench.folder / "bootstrap" / "config" / "demo.py"
    shipped = pins.read_text()
    try:
        pins.write_text(
            shipped.replace('checksum=image.get("checksum")', 'checksum="0" * 128').replace(
                'image.get("filename") or "debian-13-standin.qcow2"', '"another.qcow2"'
            )
        )
        said = bench.run("rzp-bootstrap", "demo", "-y", "--no-wait", expect=1).stdout
    finally:
        pins.write_text(shipped)

    assert "checksum mismatch" in said
    assert _vms(bench) == {}


def test_a_lab_for_another_environment_is_not_taken_over(bench: Any) -> None:
    said = bench.run("rzp-bootstrap", "lab", "start", "--for", "staging", expect=1).stdout

    assert "the lab is running for demo; stop it first: rzp-bootstrap lab stop" in said


def test_secrets_are_set_from_standard_input_listed_by_name_and_never_shown(bench: Any) -> None:
    import subprocess

    subprocess.run(
        ["rzp-bootstrap", "secrets", "set", "staging", "proxmox.token"],
        input="canary-8151\n",
        text=True,
        cwd=bench.folder,
        env=bench.environment,
        check=True,
        capture_output=True,
    )

    assert bench.run("rzp-bootstrap", "secrets", "list", "staging").stdout == "proxmox.token\n"
    assert bench.run("rzp-bootstrap", "secrets", "get", "staging", "proxmox.token").stdout == "canary-8151\n"
    assert "1 recipient" in bench.run("rzp-bootstrap", "secrets", "rekey", "staging").stdout
    assert "canary-8151" not in (bench.folder / "inventories" / "secrets" / "staging.age").read_text()


def test_the_recipients_and_the_encrypted_file_are_meant_to_be_committed_the_demo_is_not(bench: Any) -> None:
    bench.run("rzp-bootstrap", "inventory", "demo")

    status = bench.run("git", "status", "--porcelain").stdout

    assert "demo" not in status


def test_a_lab_whose_secrets_are_gone_starts_empty(new_desk: Any) -> None:
    desk = new_desk()
    desk.run("rzp-bootstrap", "lab", "start", "--backend", "record")
    desk.run("rzp-bootstrap", "demo", "-y", "--no-wait")
    desk.run("rzp-bootstrap", "lab", "stop")
    desk.run("git", "clean", "-qfdx", "inventories")

    said = desk.run("rzp-bootstrap", "lab", "start", "--backend", "record").stdout

    assert "the lab's machines belong to secrets that are gone; it starts empty" in said
    assert desk.api("GET", "/nodes/pve1/qemu") == []
    desk.run("rzp-bootstrap", "demo", "-y", "--no-wait")
