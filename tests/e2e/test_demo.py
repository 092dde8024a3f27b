"""The main job on machines that boot: every promise that needs a real machine to be seen.

The tests of this file build upon one another, in their order, on one desk with one lab.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bootstrap.secrets import Secrets

pytestmark = pytest.mark.e2e
ADDRESSES = {"demo-server-1": "10.77.0.20", "demo-agent-1": "10.77.0.30", "demo-agent-2": "10.77.0.31"}
VMIDS = {"demo-server-1": 920, "demo-agent-1": 930, "demo-agent-2": 931}
DEPLOY = ("inventories/demo.py", "deploys/k3s.py")


def _changes(output: str) -> dict[str, Any]:
    """pyinfra's JSON: what was planned and what happened."""
    return dict(json.loads(output[output.index("{") : output.rindex("}") + 1]))


def _kill_after_eject(desk: Any, vmid: int, killed: threading.Event) -> None:
    """Pull the plug of a machine in the moment in which its seed was ejected."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            config = desk.api("GET", f"/nodes/pve1/qemu/{vmid}/config")
        except AssertionError:  # it does not exist yet
            config = {}
        if config.get("scsi1", "").startswith("none"):
            desk.api("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
            killed.set()
            return
        time.sleep(0.02)


def test_outside_the_labs_network_the_demo_says_so_and_changes_nothing(desk: Any) -> None:
    desk.run("rzp-bootstrap", "lab", "start")

    said = desk.run("rzp-bootstrap", "demo", "-y", expect=1).stdout

    assert "rzp-bootstrap lab exec -- rzp-bootstrap demo" in said
    assert desk.api("GET", "/cluster/resources", type="vm") == []


def test_the_dry_run_shows_the_plan_exits_2_and_writes_nothing(desk: Any) -> None:
    said = desk.inside("rzp-bootstrap", "demo", "--dry-run", expect=2).stdout

    assert "+ create demo-server-1 (VMID 920 on pve1" in said
    assert "1 to fetch, 3 to create" in said
    assert not (desk.folder / "inventories" / "demo.py").exists()
    assert Secrets.open("demo", desk.folder).names() == ["proxmox.token"]


def test_up_creates_machines_whose_keys_are_known_though_one_was_killed_after_its_eject(desk: Any) -> None:
    killed = threading.Event()
    killer = threading.Thread(target=_kill_after_eject, args=(desk, VMIDS["demo-agent-2"], killed))
    killer.start()

    said = desk.inside("rzp-bootstrap", "demo", "-y", expect=None).stdout
    killer.join()

    assert killed.is_set(), said
    assert (desk.folder / "inventories" / "demo.known_hosts").exists()
    desk.inside("rzp-bootstrap", "demo", "-y")
    for name, address in ADDRESSES.items():
        assert desk.ssh("demo", address, "cloud-init status --wait >/dev/null; hostname").strip() == name


def test_after_up_nothing_is_left_of_the_seeds(desk: Any) -> None:
    volumes = [entry["volid"] for entry in desk.api("GET", "/nodes/pve1/storage/local/content")]

    assert not [volume for volume in volumes if volume.endswith(".iso")]
    for vmid in VMIDS.values():
        assert desk.api("GET", f"/nodes/pve1/qemu/{vmid}/config")["scsi1"].startswith("none")


def test_a_second_up_changes_nothing(desk: Any) -> None:
    said = desk.inside("rzp-bootstrap", "demo", "--dry-run", expect=0).stdout
    again = desk.inside("rzp-bootstrap", "demo", "-y").stdout

    assert "no changes" in said
    assert "no changes" in again
    assert "wrote" not in again


def test_a_wrong_host_key_is_refused(desk: Any) -> None:
    known = desk.folder / "inventories" / "demo.known_hosts"
    right = known.read_text()
    lines = right.splitlines()
    keys = [line.split()[2] for line in lines]
    swapped = [
        line.replace(key, other) for line, key, other in zip(lines, keys, [*keys[1:], keys[0]], strict=True)
    ]
    known.write_text("\n".join(swapped) + "\n")
    try:
        refused = desk.inside("pyinfra", "-y", "inventories/demo.py", "exec", "--", "true", expect=1).stdout
        ssh = desk.ssh("demo", ADDRESSES["demo-server-1"], "true", expect=255)
    finally:
        known.write_text(right)

    assert "does not match" in refused
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh


def test_the_deploy_installs_joins_and_hands_over(desk: Any) -> None:
    for address in ADDRESSES.values():  # what is seen of running processes is searched for secrets later
        watch = "while :; do ps axww -o args; sleep 0.05; done > /run/seen"
        desk.ssh("demo", address, f"sudo systemd-run --quiet --unit=watch sh -c '{watch}'")

    desk.inside("pyinfra", "-y", "--diff", "-vvv", "--debug", *DEPLOY, limit=420)

    for address in ADDRESSES.values():
        seen = desk.ssh("demo", address, "sudo systemctl stop watch; sudo sort -u /run/seen")
        assert "k3s server" in seen or "k3s agent" in seen
    kubeconfig = desk.folder / "inventories" / "demo.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert f"https://{ADDRESSES['demo-server-1']}:6443" in kubeconfig.read_text()
    assert "rzp-demo" in kubeconfig.read_text()
    nodes = json.loads(
        desk.ssh("demo", ADDRESSES["demo-server-1"], "sudo k3s kubectl get nodes -o json 2>/dev/null")
    )["items"]
    ready = {
        node["metadata"]["name"]: next(
            c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"
        )
        for node in nodes
    }
    assert ready == dict.fromkeys(ADDRESSES, "True")
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in nodes}
    assert labels["demo-agent-1"]["rzp.io/storage"] == "longhorn"
    assert labels["demo-agent-1"]["node.longhorn.io/create-default-disk"] == "true"
    assert "node.longhorn.io/create-default-disk" not in labels["demo-server-1"]
    assert desk.ssh("demo", ADDRESSES["demo-agent-1"], "systemctl is-active iscsid.socket") == "active\n"


def test_status_shows_machines_nodes_and_applications_and_from_outside_the_way_in(desk: Any) -> None:
    found = json.loads(desk.inside("rzp-bootstrap", "status", "demo", "--json").stdout)

    assert {row["name"]: row["state"] for row in found["machines"]} == dict.fromkeys(ADDRESSES, "running")
    assert {node["name"]: node["state"] for node in found["nodes"]} == dict.fromkeys(ADDRESSES, "Ready")
    assert all(node["pinned"] for node in found["nodes"])
    assert [(one["name"], one["detail"]) for one in found["applications"]] == [
        ("root", "nothing was synced: the stand-in only plays Argo CD")
    ]
    assert found["problems"] == []
    said = desk.run("rzp-bootstrap", "status", "demo", expect=1).stdout
    assert "type: rzp-bootstrap lab exec -- rzp-bootstrap status demo" in said


def test_the_data_disk_is_mounted_by_its_uuid(desk: Any) -> None:
    said = desk.ssh(
        "demo",
        ADDRESSES["demo-agent-1"],
        "findmnt -no SOURCE,FSTYPE /var/lib/longhorn; cat /etc/systemd/system/*longhorn.mount",
    )

    assert "ext4" in said
    assert "/dev/disk/by-uuid/" in said


def _unchanged(desk: Any) -> float:
    """Both stages once more; asserts that neither changes anything. Returns the deploy's seconds."""
    desk.inside("rzp-bootstrap", "demo", "--dry-run", expect=0)
    planned = _changes(desk.inside("pyinfra", "--dry", "--json", *DEPLOY).stdout)
    assert [step["name"] for step in planned["plan"] if step["hosts_with_change"]] == []
    began = time.monotonic()
    done = _changes(desk.inside("pyinfra", "-y", "--json", *DEPLOY).stdout)
    seconds = time.monotonic() - began
    assert done["results"]["failed_hosts"] == []
    assert [name for name, changed in _operations(done) if changed] == []
    assert done["results"]["totals"]["no_change"] == done["results"]["totals"]["hosts"]
    return seconds


def _operations(done: dict[str, Any]) -> list[tuple[str, bool]]:
    """(name, changed) of every operation; pyinfra counts a host that it changed as a success."""
    return [(entry["name"], bool(entry["success"])) for entry in done["results"]["operations"]]


def test_a_second_run_of_both_stages_changes_nothing(desk: Any) -> None:
    _unchanged(desk)


def _identity(desk: Any, address: str) -> str:
    return str(
        desk.ssh(
            "demo",
            address,
            "sudo sha256sum /etc/ssh/ssh_host_ed25519_key; cat /etc/machine-id; id; ip -br addr show eth0 | tr -s ' ';"
            " sudo readlink /var/lib/cloud/instance",
        )
    )


def test_after_a_reboot_of_every_machine_nothing_has_changed(desk: Any) -> None:
    before = {name: _identity(desk, address) for name, address in ADDRESSES.items()}
    started = {name: _started(desk, address) for name, address in ADDRESSES.items()}
    for vmid in VMIDS.values():
        desk.api("POST", f"/nodes/pve1/qemu/{vmid}/status/reboot")
    for name, address in ADDRESSES.items():
        _await_ssh(desk, address)
        assert _started(desk, address) != started[name], f"{name} was not rebooted"
        assert _identity(desk, address) == before[name], name
    _await_ready(desk)

    _unchanged(desk)


def _started(desk: Any, address: str) -> str:
    """When the machine's first process started, in clock ticks of the host."""
    return str(desk.ssh("demo", address, "cut -d' ' -f22 /proc/1/stat"))


def _await_ssh(desk: Any, address: str) -> None:
    deadline = time.monotonic() + 90
    while "up" not in desk.ssh("demo", address, "echo up", expect=None):
        assert time.monotonic() < deadline, f"{address} does not answer after its reboot"
        time.sleep(0.5)


def _await_ready(desk: Any) -> None:
    deadline = time.monotonic() + 90
    while True:
        said = desk.ssh(
            "demo", ADDRESSES["demo-server-1"], "sudo k3s kubectl get nodes -o json 2>/dev/null", expect=None
        )
        nodes = json.loads(said)["items"] if said.startswith("{") else []
        ready = [
            any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
            for node in nodes
        ]
        if len(ready) == len(ADDRESSES) and all(ready):
            return
        assert time.monotonic() < deadline, said[-2000:]
        time.sleep(1)


def test_after_one_edit_the_dry_run_names_exactly_what_is_changed_then(desk: Any) -> None:
    address = ADDRESSES["demo-agent-1"]
    desk.ssh("demo", address, "echo '# edited' | sudo tee -a /etc/sysctl.d/*rzp*.conf")

    planned = _changes(desk.inside("pyinfra", "--dry", "--json", *DEPLOY).stdout)
    named = {
        (step["name"], tuple(step["hosts_with_change"]))
        for step in planned["plan"]
        if step["hosts_with_change"]
    }
    assert len(named) == 1
    assert next(iter(named))[1] == ("demo-agent-1",)
    done = _changes(desk.inside("pyinfra", "-y", "--json", *DEPLOY).stdout)

    assert [name for name, changed in _operations(done) if changed] == [next(iter(named))[0]]
    _unchanged(desk)


def test_the_checkout_is_clean(desk: Any) -> None:
    assert desk.run("git", "status", "--porcelain").stdout == ""


def test_no_secret_stands_anywhere_it_should_not(desk: Any) -> None:
    store = Secrets.open("demo", desk.folder)
    canaries = {
        name: store.require(name).reveal() for name in ("k3s.token", "ssh.host-key-seed", "proxmox.token")
    }
    _loud_runs(desk)
    for address in ADDRESSES.values():
        desk.ssh(
            "demo",
            address,
            "sudo journalctl --no-pager -b -o short 2>/dev/null | tail -n 5000; ps axww; sudo grep -rs . /tmp | head -n 200",
        )
    for vmid in VMIDS.values():
        desk.printed.append(json.dumps(desk.api("GET", f"/nodes/pve1/qemu/{vmid}/config")))

    for name, canary in canaries.items():
        for text in desk.printed:
            at = text.find(canary)
            assert at < 0, f"{name} was printed: …{text[max(0, at - 300) : at]}"
        for path in _readable_files(desk):
            assert canary not in path.read_text(errors="replace"), f"{name} stands in {path}"


def _loud_runs(desk: Any) -> None:
    desk.inside("pyinfra", "--dry", "--diff", "-vvv", *DEPLOY)
    assert "rzp-demo" in desk.inside("pyinfra", "inventories/demo.py", "debug-inventory").stdout
    assert "First boot is done" in desk.inside("pyinfra", "--dry", "--debug-operations", *DEPLOY).stdout


def _readable_files(desk: Any) -> list[Path]:
    """Everything written, but the age file and its identity, and the lab's own 0600 files that hold its token."""
    found = [path for path in desk.folder.rglob("*") if path.is_file() and ".git/" not in f"{path}/"]
    journals = Path(desk.environment["HOME"], ".local", "state", "rzp-infra", "runs")
    assert list(journals.rglob("*.jsonl")), "every run leaves a journal"
    for place in (
        *(desk.lab / name for name in ("daemon.log", "requests.jsonl", "storage", "www")),
        journals,
    ):
        found += [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return [path for path in found if path.stat().st_size < 20_000_000]


DISKS = 'DataDisk(gib=1, mount="/var/lib/longhorn"),'
LARGER = 'DataDisk(gib=2, mount="/var/lib/longhorn"), DataDisk(gib=1, mount="/srv/further"),'


def _storage(desk: Any, address: str) -> dict[str, str]:
    """Of an agent: its boot, the bytes of its file system by `df` and by the superblock, and what was left on it."""
    said = desk.ssh(
        "demo",
        address,
        "cat /proc/sys/kernel/random/boot_id; df --output=size -B1 /var/lib/longhorn | tail -n 1;"
        " sudo dumpe2fs -h $(findmnt -no SOURCE /var/lib/longhorn) 2>/dev/null | grep '^Block count';"
        " cat /var/lib/longhorn/kept; findmnt -no FSTYPE /srv/further; true",
    ).split("\n")
    return {
        "boot": said[0],
        "df": said[1],
        "blocks": said[2].split()[-1],
        "kept": said[3],
        "further": said[4],
    }


def test_a_larger_and_a_further_disk_are_used_after_the_next_deploy_without_a_reboot(desk: Any) -> None:
    agents = [ADDRESSES["demo-agent-1"], ADDRESSES["demo-agent-2"]]
    for address in agents:
        desk.ssh("demo", address, "date +%s%N | sudo tee /var/lib/longhorn/kept")
    before = [_storage(desk, address) for address in agents]
    assert {(found["blocks"], found["further"]) for found in before} == {("262144", "")}
    environment = desk.folder / "bootstrap" / "config" / "demo.py"
    assert DISKS in environment.read_text()
    environment.write_text(environment.read_text().replace(DISKS, LARGER))

    desk.inside("rzp-bootstrap", "demo", "-y")
    planned = _changes(desk.inside("pyinfra", "--dry", "--json", *DEPLOY).stdout)
    named = {step["name"]: step["hosts_with_change"] for step in planned["plan"]}
    grown = "Data disk at /var/lib/longhorn is used to its end"
    assert {name for name, hosts in named.items() if hosts} == {grown, "Data disk at /srv/further", "Agents"}
    assert sorted(named[grown]) == ["demo-agent-1", "demo-agent-2"]
    desk.inside("pyinfra", "-y", *DEPLOY)

    after = [_storage(desk, address) for address in agents]
    for old, new in zip(before, after, strict=True):
        assert (new["boot"], new["kept"]) == (old["boot"], old["kept"])
        assert (new["blocks"], new["further"]) == ("524288", "ext4")
        assert int(new["df"]) > 1.9 * 2**30 > 2**30 > int(old["df"])
    _unchanged(desk)


def test_destroy_asks_for_the_name_and_leaves_nothing(desk: Any) -> None:
    refused = desk.inside("rzp-bootstrap", "destroy", "demo", expect=1).stdout
    assert "--confirm-destroy demo" in refused
    wrong = desk.inside("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "staging", expect=1).stdout
    assert "nothing was changed" in wrong

    desk.inside("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "demo")

    assert desk.api("GET", "/cluster/resources", type="vm") == []
    assert desk.api("GET", "/nodes/pve1/storage/vmdata/content") == []
    assert not [v for v in desk.api("GET", "/nodes/pve1/storage/local/content") if v["content"] == "iso"]
