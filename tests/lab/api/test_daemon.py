"""The daemon as a process: it survives kill -9 with its machines, says when its port is taken, and cleans up after SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def launch(state: Path, plan: dict[str, Any]) -> subprocess.Popen[str]:
    state.mkdir(exist_ok=True)
    (state / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "bootstrap.lab.daemon", str(state)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def endpoint(state: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the daemon wrote when it listened; an older daemon's words do not count."""
    for _ in range(500):
        if (state / "endpoint.json").exists():
            values: dict[str, Any] = json.loads((state / "endpoint.json").read_text())
            if values["pid"] == process.pid:
                return values
        time.sleep(0.02)
    raise AssertionError("no endpoint.json")


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    process.communicate(timeout=10)
    return process.returncode


def test_a_killed_daemon_comes_back_with_its_machines(
    tmp_path: Path,
    plan: dict[str, Any],
    connect: Callable[[dict[str, Any]], Any],
    finish: Callable[[Any, str], tuple[str, list[str]]],
) -> None:
    state = tmp_path / "lab"
    first = launch(state, plan | {"pace": 0.2})
    before = endpoint(state, first)
    api = connect(before)
    finish(api, api.nodes("pve1").qemu.post(vmid=120, name="kept", scsi0="vmdata:4", cores=2))
    config = api.nodes("pve1").qemu(120).config.get()
    cut = api.nodes("pve1").qemu(120).status.start.post()
    end(first, signal.SIGKILL)
    second = launch(state, plan)
    try:
        after = endpoint(state, second)
        assert [after[key] for key in ("url", "files", "token", "fingerprint", "root_password")] == [
            before[key] for key in ("url", "files", "token", "fingerprint", "root_password")
        ]
        api = connect(after)
        assert api.nodes("pve1").qemu(120).config.get() == config
        assert finish(api, cut)[0] == "unexpected status"
    finally:
        assert end(second, signal.SIGTERM) == 0
    assert not (state / "endpoint.json").exists()


def test_the_endpoint_file_is_for_its_owner_alone(tmp_path: Path, plan: dict[str, Any]) -> None:
    state = tmp_path / "lab"
    daemon = launch(state, plan)
    try:
        values = endpoint(state, daemon)
        assert stat.S_IMODE((state / "endpoint.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert values["pid"] == daemon.pid
        assert values["netns"] is None
    finally:
        end(daemon, signal.SIGTERM)


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, plan: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        daemon = launch(tmp_path / "lab", plan | {"port": port})
        _, words = daemon.communicate(timeout=10)
    assert daemon.returncode == 1
    assert (
        words
        == f"lab: port {port} on 127.0.0.1 is taken ({os.strerror(98)}); stop its owner or choose another port\n"
    )
    assert not (tmp_path / "lab" / "endpoint.json").exists()
