"""Rules of Proxmox that a recording shows only in part: hotplug, pending, locks, pools, accounts, the guest agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ProxmoxAPI, ResourceException

from bootstrap.lab.conformance.sandbox import running_lab
from tests.lab.api.conftest import as_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Finish = Any


@pytest.fixture
def root(lab: dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """root@pam with a ticket."""
    with as_root(lab, tmp_path / "lab") as api:
        yield api


@pytest.fixture
def vm(api: Any, finish: Finish) -> Callable[..., Any]:
    """Makes a running machine 120 with two disks; its endpoint."""

    def make(**more: Any) -> Any:
        upid = api.nodes("pve1").qemu.post(
            vmid=120, scsihw="virtio-scsi-single", scsi0="vmdata:1", scsi2="vmdata:2", **more
        )
        assert finish(api, upid)[0] == "OK"
        one = api.nodes("pve1").qemu(120)
        assert finish(api, one.status.start.post())[0] == "OK"
        return one

    return make


def refused(work: Callable[..., Any], **params: Any) -> tuple[int, Any]:
    """Status, and the errors by parameter or the reason."""
    try:
        work(**params)
    except ResourceException as fault:  # the exception keeps the connection; here it goes at once
        return fault.status_code, fault.errors or fault.content
    return 200, None


def pending(vm: Any, key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in vm.pending.get() if one["key"] == key)
    return found


def test_of_a_disk_only_what_needs_no_new_device_changes_while_it_runs(vm: Any) -> None:
    one = vm()
    disk = "vmdata:120/vm-120-disk-1.raw"
    one.config.put(scsi2=f"{disk},backup=no")
    assert one.config.get(current=1)["scsi2"] == f"{disk},backup=0,size=2G"
    one.config.put(scsi2=f"{disk},backup=0,discard=on")
    assert pending(one, "scsi2")["pending"] == f"{disk},backup=0,discard=on,size=2G"
    one.config.put(revert="scsi2")
    assert "pending" not in pending(one, "scsi2")


def test_a_drive_does_not_turn_into_another_kind_while_it_runs(vm: Any) -> None:
    status, errors = refused(vm().config.put, scsi2="none,media=cdrom")
    assert (status, errors) == (400, {"scsi2": "hotplug problem - unable to change media type\n"})


def test_the_disk_of_a_used_slot_is_exchanged_and_kept(vm: Any) -> None:
    one = vm()
    one.config.put(scsi2="vmdata:4")
    config = one.config.get(current=1)
    assert config["scsi2"] == "vmdata:120/vm-120-disk-2.raw,size=4G"
    assert config["unused0"] == "vmdata:120/vm-120-disk-1.raw"


def test_a_running_q35_exchanges_no_disk_but_at_the_next_stop(api: Any, vm: Any, finish: Finish) -> None:
    one = vm(machine="q35")
    assert refused(one.config.put, scsi2="vmdata:4")[0] == 400
    assert one.config.get(current=1)["scsi2"] == "vmdata:120/vm-120-disk-1.raw,size=2G"
    assert finish(api, one.status.stop.post())[0] == "OK"
    config = one.config.get()
    assert config["scsi2"] == "vmdata:120/vm-120-disk-2.raw,size=4G"
    assert config["unused0"] == "vmdata:120/vm-120-disk-1.raw"


def test_a_boot_disk_is_not_unplugged_and_the_removal_waits(vm: Any) -> None:
    one = vm()
    errors = {"scsi0": "hotplug problem - can't unplug bootdisk 'scsi0'\n"}
    assert refused(one.config.put, delete="scsi0") == (400, errors)
    assert pending(one, "scsi0")["delete"] == 1


def test_one_option_is_not_set_and_removed_at_once(vm: Any) -> None:
    one = vm()
    clash = {"delete": "you can't use '-cores' and -delete cores' at the same time"}
    assert refused(one.config.put, cores=2, delete="cores") == (400, clash)
    assert refused(one.config.put, force=1) == (400, {"delete": "missing property required by 'force'"})
    assert refused(one.config.put, delete="colour") == (400, {"delete": "unknown option 'colour'"})


def test_a_refused_option_leaves_nothing_behind(vm: Any) -> None:
    one = vm()
    before = one.pending.get()
    assert refused(one.config.put, boot="order=scsi7")[0] == 500
    assert one.pending.get() == before


def test_protection_keeps_every_drive(vm: Any) -> None:
    one = vm()
    one.config.put(protection=1)
    wrong = "can't remove drive 'scsi2' - protection mode enabled"
    assert refused(one.config.put, delete="scsi2") == (500, wrong)
    assert refused(one.delete) == (500, "can't remove VM 120 - protection mode enabled")


def test_only_root_works_on_a_locked_machine(api: Any, root: Any, vm: Any, finish: Finish) -> None:
    one = vm()
    assert refused(one.config.put, lock="backup") == (500, "only root can set 'lock' config")
    root.nodes("pve1").qemu(120).config.put(lock="backup")
    assert refused(one.config.put, cores=2) == (500, "VM is locked (backup)")
    assert finish(api, one.status.stop.post())[0] == "VM is locked (backup)"
    only = {"skiplock": "Only root may use this option."}
    assert refused(one.status.stop.post, skiplock=1) == (400, only)
    assert finish(root, root.nodes("pve1").qemu(120).status.stop.post(skiplock=1))[0] == "OK"


def test_a_member_moves_between_pools_only_when_that_is_allowed(root: Any) -> None:
    for pool in ("a", "b", "a/c"):
        root.pools.post(poolid=pool)
    root.pools.put(poolid="a", vms="120")
    there = "update pools failed: VM 120 belongs already to pool 'a' and 'allow-move' is not set"
    assert refused(root.pools.put, poolid="b", vms="120") == (500, there)
    root.pools("b").put(vms="120", **{"allow-move": 1})
    assert refused(root.pools.put, poolid="a", vms="120", delete=1)[0] == 500
    inside = "delete pool failed: pool 'a' is not empty (contains pool 'a/c')"
    assert refused(root.pools.delete, poolid="a") == (500, inside)
    root.pools.delete(poolid="b")
    assert [one["poolid"] for one in root.pools.get()] == ["a", "a/c"]


def test_accounts_are_listed_changed_and_removed(root: Any) -> None:
    root.access.users.post(userid="lab@pve", comment="x")
    root.access.users("lab@pve").token("ci").post(expire=0, comment="y")
    root.access.roles.post(roleid="Lab", privs="VM.Audit,VM.Allocate")
    root.access.acl.put(path="/vms//100/", roles="Lab", tokens="lab@pve!ci", propagate=0)
    listed = next(one for one in root.access.users.get(full=1) if one["userid"] == "lab@pve")
    assert listed["tokens"] == [{"tokenid": "ci", "privsep": 1, "expire": 0, "comment": "y"}]
    assert (listed["email"], listed["groups"], listed["realm-type"]) == ("", "", "pve")
    entry = {"path": "/vms/100", "ugid": "lab@pve!ci", "roleid": "Lab", "propagate": 0, "type": "token"}
    assert entry in root.access.acl.get()
    assert root.access.roles("Lab").get() == {"VM.Audit": 1, "VM.Allocate": 1}
    root.access.users("lab@pve").delete()
    assert entry not in root.access.acl.get()
    assert refused(root.access.users("lab@pve").get) == (500, "no such user ('lab@pve')")
    assert refused(root.access.acl.put, path="/nope", roles="Lab", users="root@pam") == (
        400,
        {"path": "invalid ACL path '/nope'"},
    )
    assert (
        refused(root.access.roles("PVEAdmin").delete)[1] == "auto-generated role 'PVEAdmin' cannot be deleted"
    )
    root.access.roles("Lab").delete()
    assert refused(root.access.roles("Lab").get) == (500, "role 'Lab' does not exist")


def test_a_pretended_agent_tells_addresses_and_runs_programs(
    tmp_path: Path, plan: dict[str, Any], finish: Finish
) -> None:
    plan = plan | {"guest_addresses": {"BC:24:11:00:00:01": ["10.77.0.9/24"]}}
    with running_lab(tmp_path / "lab", plan) as (lab, daemon):
        api = ProxmoxAPI(
            lab["url"].removeprefix("https://"),
            user="root@pam",
            password=lab["root_password"],
            verify_ssl=str(tmp_path / "lab" / "tls.pem"),
        )
        one = api.nodes("pve1").qemu(120)
        net = "virtio=BC:24:11:00:00:01,bridge=vmbr0"
        finish(api, api.nodes("pve1").qemu.post(vmid=120, net0=net))
        assert refused(one.agent.ping.post) == (500, "No QEMU guest agent configured")
        one.config.put(agent="enabled=0")
        assert refused(one.agent.ping.post) == (500, "VM 120 is not running")
        finish(api, one.status.start.post())
        assert refused(one.agent.ping.post) == (500, "QEMU guest agent is not running")
        daemon.backend.real.agents = True  # type: ignore[union-attr]
        card = one.agent("network-get-interfaces").get()["result"][1]
        assert (card["name"], card["hardware-address"]) == ("eth0", "bc:24:11:00:00:01")
        told = [f"{ip['ip-address']}/{ip['prefix']}" for ip in card["ip-addresses"]]
        assert told == ["10.77.0.9/24", "fe80::be24:11ff:fe00:1/64"]
        pid = one.agent.exec.post(command=["/bin/echo", "a", "b"])["pid"]
        assert one.agent("exec-status").get(pid=pid) == {"exited": 1, "exitcode": 0, "out-data": "a b\n"}
        assert refused(one.agent.exec.post, command=["/nope"])[0] == 596
        assert refused(one.agent("exec-status").get, pid=1) == (500, "Agent error: Invalid parameter 'pid'")
        api._store["session"].close()
