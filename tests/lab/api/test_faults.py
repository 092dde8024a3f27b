"""Bad days on demand: every kind of fault, seen by a client over HTTP, and the log that tells which request met it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from proxmoxer import ResourceException

from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule

if TYPE_CHECKING:
    from collections.abc import Callable

    Finish = Callable[[Any, str], tuple[str, list[str]]]
    Set = Callable[..., None]

CREATE = "/nodes/*/qemu"
ONE = "/nodes/*/qemu/*"


def log(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / "requests.jsonl").read_text().splitlines()]


def vmids(api: Any) -> list[int]:
    return [vm["vmid"] for vm in api.nodes("pve1").qemu.get()]


def machine(api: Any, finish: Finish, vmid: int = 120) -> Any:
    assert finish(api, api.nodes("pve1").qemu.post(vmid=vmid, name="one", scsi0="vmdata:1"))[0] == "OK"
    return api.nodes("pve1").qemu(vmid)


def test_a_delay_lets_the_next_rule_have_its_turn(api: Any, state: Path) -> None:
    faults.write(
        state,
        [
            FaultRule(method="GET", path="/version", kind="delay", seconds=0.2),
            FaultRule(method="GET", path="/version", kind="status", status=500, text="no"),
        ],
    )
    began = time.monotonic()
    with pytest.raises(ResourceException, match="500 Internal Server Error: no"):
        api.version.get()
    assert time.monotonic() - began >= 0.2
    assert [fault.partition(" ")[2] for fault in log(state)[-1]["faults"]] == ["delay", "status"]


def test_a_connection_dropped_before_has_no_effect_and_after_it_has(
    api: Any, fault: Set, state: Path
) -> None:
    for kind, expected in (("drop-before", []), ("drop-after", [120])):
        fault("POST", CREATE, kind)
        with pytest.raises(requests.ConnectionError):
            api.nodes("pve1").qemu.post(vmid=120, name="one")
        assert log(state)[-1]["status"] is None
        assert vmids(api) == expected


@pytest.mark.parametrize("status", [500, 595, 596])
def test_a_status_says_nothing_about_the_effect(api: Any, fault: Set, status: int) -> None:
    for after, expected in ((False, []), (True, [120])):
        fault("POST", CREATE, "status", status=status, after=after)
        with pytest.raises(ResourceException) as error:
            api.nodes("pve1").qemu.post(vmid=120, name="one")
        assert (error.value.status_code, error.value.content) == (status, faults.REASONS[status])
        assert vmids(api) == expected


@pytest.mark.parametrize(
    ("place", "lines", "left"), [({}, 0, []), ({"step": 1}, 1, []), ({"after": True}, 2, [120])]
)
def test_a_task_fails_before_its_work_in_it_or_after_it(
    api: Any, fault: Set, finish: Finish, place: dict[str, Any], lines: int, left: list[int]
) -> None:
    fault("POST", CREATE, "task-fail", text="the disk is gone", **place)
    end, log = finish(api, api.nodes("pve1").qemu.post(vmid=120, name="one", scsi0="vmdata:1"))
    assert end == ("unable to create VM 120 - " if "step" in place else "") + "the disk is gone"
    assert log[lines:] == [f"TASK ERROR: {end}"]
    assert vmids(api) == left


def test_a_full_storage_takes_no_disk_no_upload_and_no_download(
    api: Any, fault: Set, finish: Finish, serve_files: Callable[[dict[str, bytes]], str]
) -> None:
    full = "No space left on device"
    local = api.nodes("pve1").storage("local")
    before = local.content.get()
    fault("POST", "/nodes/**", "storage-full")
    end, _ = finish(api, api.nodes("pve1").qemu.post(vmid=120, name="one", scsi0="vmdata:1"))
    assert end.startswith("unable to create VM 120 - unable to create image: qemu-img: ")
    assert end.endswith(full)
    seed = io.BytesIO(bytes(2048))
    seed.name = "seed.iso"
    end, _ = finish(api, local.upload.post(content="iso", filename=seed))
    assert end == f"import failed: cp: error writing '/var/lib/vz/template/iso/seed.iso': {full}"
    url = f"{serve_files({'a.iso': b'x'})}/a.iso"
    end, _ = finish(api, local("download-url").post(content="iso", filename="a.iso", url=url))
    assert end.startswith("download failed: Cannot write to ")
    assert vmids(api) == []
    assert local.content.get() == before


def test_a_locked_machine_refuses_as_one_under_backup_does(api: Any, fault: Set, finish: Finish) -> None:
    vm = machine(api, finish)
    fault("*", f"{ONE}/**", "locked")
    assert vm.config.get()["lock"] == "backup"
    with pytest.raises(ResourceException, match=r"VM is locked \(backup\)"):
        vm.config.put(cores=2)
    assert finish(api, vm.status.start.post())[0] == "VM is locked (backup)"
    assert finish(api, vm.resize.put(disk="scsi0", size="2G"))[0] == "VM is locked (backup)"
    assert finish(api, vm.status.stop.post())[0] == "OK"


def test_a_lock_file_that_others_hold_ends_with_a_timeout(api: Any, fault: Set, finish: Finish) -> None:
    vm = machine(api, finish)
    fault("*", f"{ONE}/**", "busy")
    held = "can't lock file '/var/lock/qemu-server/lock-120.conf' - got timeout"
    with pytest.raises(ResourceException, match="got timeout"):
        vm.config.put(cores=2)
    assert finish(api, vm.status.start.post())[0] == held


def test_a_machine_that_never_boots_counts_as_running_and_obeys_only_the_plug(
    api: Any, fault: Set, finish: Finish
) -> None:
    vm = machine(api, finish)
    fault("POST", f"{ONE}/status/start", "never-boots")
    assert finish(api, vm.status.start.post())[0] == "OK"
    assert vm.status.current.get()["status"] == "running"
    assert finish(api, vm.status.shutdown.post(timeout=0))[0] == "VM quit/powerdown failed - got timeout"
    assert finish(api, vm.status.shutdown.post(timeout=0, forceStop=1))[0] == "OK"
    assert vm.status.current.get()["status"] == "stopped"


def test_a_node_that_is_down_is_offline_and_the_others_go_on(
    plan: dict[str, Any],
    start_lab: Callable[[dict[str, Any]], dict[str, Any]],
    connect: Callable[[dict[str, Any]], Any],
    fault: Set,
    state: Path,
    finish: Finish,
) -> None:
    api = connect(start_lab({**plan, "nodes": ["pve1", "pve2"], "statistics_interval": 0}))
    api.nodes("pve2").qemu.post(vmid=121, name="two", tags="rzp")
    machine(api, finish)
    fault("*", "/nodes/pve2", "node-down")
    for call in (api.nodes("pve2").qemu.get, lambda: api.nodes("pve2").qemu.post(vmid=122)):
        with pytest.raises(ResourceException) as error:
            call()
        assert (error.value.status_code, error.value.content) == (595, "No route to host")
        assert [fault.partition(" ")[2] for fault in log(state)[-1]["faults"]] == ["node-down"]
    shown = {one["id"]: one for one in api.cluster.resources.get()}
    assert {one["node"]: one["status"] for one in api.nodes.get()} == {"pve1": "online", "pve2": "offline"}
    assert shown["qemu/121"] == {
        "id": "qemu/121", "type": "qemu", "node": "pve2", "vmid": 121, "tags": "rzp", "status": "unknown",
    }  # fmt: skip
    assert (shown["storage/pve2/local"]["status"], shown["storage/pve1/local"]["status"]) == (
        "unknown",
        "available",
    )
    assert (shown["qemu/120"]["name"], vmids(api)) == ("one", [120])
    with pytest.raises(ResourceException, match="already exists on node 'pve2'"):
        api.nodes("pve1").qemu.post(vmid=121)
    faults.clear(state)
    assert api.nodes("pve2").qemu(121).config.get()["name"] == "two"


def test_without_the_first_node_there_is_no_api(api: Any, fault: Set, state: Path) -> None:
    fault("*", "/nodes/pve1", "node-down")
    with pytest.raises(requests.ConnectionError):
        api.version.get()
    faults.clear(state)
    assert api.version.get()["release"] == "9.2"
