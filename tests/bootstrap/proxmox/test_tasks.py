"""Waiting for Proxmox' background tasks."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.errors import TaskFailed, WaitTimeout
from bootstrap.proxmox import tasks

UPID = "UPID:pve1:000000A9:000C2CA7:6B03B5FC:qmcreate:120:rzp@pve!infra:"
RUNNING = {"status": "running"}


def _ended(result: str) -> dict[str, str]:
    return {"status": "stopped", "exitstatus": result}


@pytest.mark.parametrize("result", ["OK", "WARNINGS: 2"])
def test_a_task_that_ends_well_is_waited_for(script: Any, reply: Any, result: str) -> None:
    wire = script(reply(RUNNING), reply(_ended(result)))
    said: list[str] = []

    tasks.wait(wire.client(), UPID, limit=30, waiting=said.append)

    assert said == ["task qmcreate 120 on pve1, at most 30 s"]
    assert [request.path_url for request in wire.requests] == [
        f"/api2/json/nodes/pve1/tasks/{UPID}/status"
    ] * 2


def test_a_call_that_was_done_at_once_needs_no_waiting(script: Any, reply: Any) -> None:
    wire = script(reply())

    tasks.wait(wire.client(), None, limit=30)

    assert wire.requests == []


def test_a_task_that_is_not_known_yet_is_asked_for_again(script: Any, reply: Any) -> None:
    unknown = reply(
        status=400, reason="Parameter verification failed.", body={"errors": {"upid": "no such task"}}
    )
    wire = script(unknown, reply(_ended("OK")))

    tasks.wait(wire.client(), UPID, limit=30)

    assert len(wire.requests) == 2


def test_a_failed_task_carries_the_end_of_its_log(script: Any, reply: Any) -> None:
    lines = [{"n": n, "t": f"line {n}"} for n in range(1, 9)]
    wire = script(reply(_ended("volume 'local:import/x.qcow2' does not exist")), reply(lines))

    with pytest.raises(TaskFailed) as caught:
        tasks.wait(wire.client(), UPID, limit=30)

    assert (
        str(caught.value) == "task qmcreate 120 on pve1 failed: volume 'local:import/x.qcow2' does not exist"
    )
    assert caught.value.log == ["line 4", "line 5", "line 6", "line 7", "line 8"]
    assert caught.value.upid == UPID


@pytest.mark.parametrize(
    ("result", "log", "fix"),
    [
        ("bridge 'vmbr9' does not exist", "", "network.bridge"),
        ("start failed: QEMU exited with code 1", "bridge 'vmbr9' does not exist", "network.bridge"),
        ("checksum mismatch: got 'aa' != expect 'bb'", "", "image.checksum"),
        ("cp: error writing 'x': No space left on device", "", "free space"),
        ("download failed: exit code 8", "", "set image.file"),
    ],
)
def test_a_failure_that_is_known_names_the_fix(
    script: Any, reply: Any, result: str, log: str, fix: str
) -> None:
    wire = script(reply(_ended(result)), reply([{"n": 1, "t": log}]))

    with pytest.raises(TaskFailed, match=fix):
        tasks.wait(wire.client(), UPID, limit=30)


def test_waiting_has_an_end_with_evidence(script: Any, reply: Any) -> None:
    wire = script(reply(RUNNING), reply([{"n": 1, "t": "transferred 1 of 3 GiB"}]))

    with pytest.raises(WaitTimeout, match=r"has not ended within 0 s; it goes on.*transferred 1 of 3 GiB"):
        tasks.wait(wire.client(), UPID, limit=0)


@pytest.mark.parametrize(
    ("entry", "ours"),
    [
        ({}, True),
        ({"upid": UPID.replace("rzp@pve!infra", "root@pam")}, False),
        ({"endtime": 1795405309, "status": "OK"}, False),
    ],
)
def test_only_a_running_task_of_our_own_counts(
    script: Any, reply: Any, entry: dict[str, Any], ours: bool
) -> None:
    wire = script(reply([{"upid": UPID, "type": "qmcreate", "status": "RUNNING", **entry}]))

    assert tasks.running(wire.client(), "pve1", 120) == ({"qmcreate": UPID} if ours else {})


def test_a_console_or_a_backup_of_the_same_account_is_not_waited_for(script: Any, reply: Any) -> None:
    kinds = ("vncproxy", "vzdump", "qmigrate")
    wire = script(
        reply([{"upid": UPID.replace("qmcreate", kind), "type": kind} for kind in kinds]), reply([])
    )

    tasks.settle(wire.client(), "pve1")

    assert len(wire.requests) == 1
