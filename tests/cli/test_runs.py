"""A run as a whole: one at a time, written down, stopped by Ctrl-C, and what it says of a bad day."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.secrets import Secrets

UP = ("rzp-bootstrap", "demo", "-y", "--no-wait")


def _journals(bench: Any) -> list[Path]:
    return sorted((Path(bench.environment["HOME"]) / ".local/state/rzp-infra/runs/demo").glob("*.jsonl"))


def _newest(bench: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _journals(bench)[-1].read_text().splitlines()]


@pytest.fixture
def faulty(empty: Any) -> Any:
    """The bench; its faults are gone afterwards."""
    yield empty
    faults.clear(empty.lab)


@pytest.fixture
def begin(faulty: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command and goes on; what still runs at the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(*argv: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                argv,
                cwd=faulty.folder,
                env=faulty.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # a shell's background command, and all below it, would ignore Ctrl-C
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def _requests(bench: Any) -> str:
    log = bench.lab / "requests.jsonl"
    return log.read_text() if log.exists() else ""


def _asked(bench: Any, before: str, text: str, limit: float = 30) -> None:
    """Wait until the lab was asked something new that holds the text."""
    deadline = time.monotonic() + limit
    while text not in _requests(bench)[len(before) :]:
        assert time.monotonic() < deadline, _requests(bench)[len(before) :]
        time.sleep(0.02)


def test_a_run_is_written_down_call_by_call_and_holds_no_secret(empty: Any) -> None:
    empty.run(*UP)

    lines = _newest(empty)
    assert [line["what"] for line in (lines[0], lines[1], lines[-1])] == ["run", "plan", "end"]
    assert lines[-1]["outcome"] == "ok"
    created = [
        x for x in lines if x["what"] == "call" and (x["method"], x["path"]) == ("POST", "/nodes/pve1/qemu")
    ]
    assert len(created) == 3
    assert all(line["outcome"] == "ok" and line["upid"].startswith("UPID:pve1:") for line in created)
    assert any(line["what"] == "step" and line["subject"] == "demo-agent-2" for line in lines)
    path = _journals(empty)[-1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = Secrets.open("demo", empty.folder)
    for name in store.names():
        assert store.require(name).reveal() not in path.read_text()


def test_a_run_without_changes_and_a_plan_leave_no_journal(empty: Any) -> None:
    before = len(_journals(empty))

    empty.run("rzp-bootstrap", "demo", "--dry-run", expect=2)

    assert len(_journals(empty)) == before


def test_a_failure_names_each_machine_the_next_command_and_the_journal(faulty: Any) -> None:
    rule = FaultRule(
        kind="task-fail", method="POST", path="/nodes/*/qemu/930/status/start", text="no such thing"
    )
    faults.write(faulty.lab, [rule])

    said = faulty.run(*UP, expect=1).stdout

    assert "x demo-agent-1: task qmstart 930 on pve1 failed: no such thing" in said
    assert said.splitlines()[-1] == (
        "Error: demo: 1 part(s) failed (above); run the same command again to go on"
    )
    assert f"What was done, call by call: {_journals(faulty)[-1]}" in said
    assert "1 part(s) failed" in _newest(faulty)[-1]["outcome"]
    assert {vm["vmid"]: vm["status"] for vm in faulty.api("GET", "/nodes/pve1/qemu", root=True)} == {
        920: "running",
        930: "stopped",
        931: "running",
    }


def test_who_comes_second_gets_one_line(faulty: Any, begin: Any) -> None:
    faults.write(faulty.lab, [FaultRule(kind="delay", method="POST", path="/nodes/pve1/qemu", seconds=4)])
    before = _requests(faulty)
    first = begin(*UP)
    _asked(faulty, before, "storage/local/upload")

    said = faulty.run(*UP, expect=1).stdout
    out, _ = first.communicate(timeout=60)

    assert said.startswith(f"Error: demo: another run (pid {first.pid}, since ")
    assert said.endswith("is changing it; wait for it to end\n")
    assert first.returncode == 0, out


def test_ctrl_c_ends_within_seconds_and_says_what_goes_on(faulty: Any, begin: Any) -> None:
    # the create's task runs on, and the question how it stands gets no answer
    faults.write(
        faulty.lab,
        [FaultRule(kind="delay", method="GET", path="/nodes/*/tasks/*qmcreate*/status", seconds=20)],
    )
    before = _requests(faulty)
    run = begin(*UP)
    _asked(faulty, before, "qmcreate")
    time.sleep(0.5)
    began = time.monotonic()
    os.kill(run.pid, signal.SIGINT)
    out, _ = run.communicate(timeout=60)

    assert time.monotonic() - began < 15, f"an answer that takes 20 s is not waited for: {out}"
    assert run.returncode == 1
    assert "goes on in Proxmox: task qmcreate 9" in out
    assert "Stopped. Nothing is lost: the same command goes on where this one ended." in out
    faults.clear(faulty.lab)
    assert "Next: pyinfra" in faulty.run(*UP).stdout
    assert len(faulty.api("GET", "/nodes/pve1/qemu", root=True)) == 3


def test_destroy_verifies_by_listing_and_a_foreign_disk_stops_it(empty: Any) -> None:
    empty.run(*UP)
    empty.api("PUT", "/nodes/pve1/qemu/930/config", root=True, virtio5="vmdata:1")

    said = empty.run("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "demo", expect=1).stdout
    assert "holds virtio5 (1 GiB), vmdata:930/vm-930-disk-2.raw, which is not the environment's" in said
    assert len(empty.api("GET", "/nodes/pve1/qemu", root=True)) == 3

    for change in ({"delete": "virtio5"}, {"delete": "unused0"}):
        empty.api("PUT", "/nodes/pve1/qemu/930/config", root=True, **change)
    said = empty.run("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "demo").stdout
    assert "demo: destroyed; Proxmox lists none of its machines and seeds." in said
    assert [
        e["volid"] for e in empty.api("GET", "/nodes/pve1/storage/local/content", root=True, content="iso")
    ] == []


def test_only_a_machine_of_the_environment_can_be_replaced(empty: Any) -> None:
    said = empty.run(*UP, "--replace", "nas", expect=1).stdout

    assert said == (
        "Error: --replace nas: no machine of demo; there are demo-server-1, demo-agent-1, demo-agent-2\n"
    )
    empty.run(*UP)
    said = empty.run(*UP, "--replace", "demo-agent-1", expect=1).stdout
    assert "there is no terminal to ask on; add --confirm-destroy demo" in said
    empty.run(*UP, "--replace", "demo-agent-1", "--confirm-destroy", "demo")
    assert len(empty.api("GET", "/nodes/pve1/qemu", root=True)) == 3


def test_rebooting_without_waiting_is_refused(empty: Any) -> None:
    said = empty.run(*UP, "--reboot", expect=1).stdout

    assert "--reboot waits for each machine before the next one goes; leave --no-wait out" in said
