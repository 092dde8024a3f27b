"""Starting the daemon so that it outlives the command, and ending it, together with everything that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bootstrap.lab import process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootstrap.lab.process import Process

NAMESPACES = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--propagation=private"),
    # a place of its own for the names of network namespaces: they vanish with the mount namespace
    *("sh", "-c", 'mkdir -p /run/netns && mount -t tmpfs lab /run/netns && exec "$@"', "lab"),
)
"""Everything dies with the first process, and no mount is seen outside."""

DETACH = '"$@" </dev/null >>"$RZP_LAB_LOG" 2>&1 & echo $!'


def detached(argv: Sequence[str], *, state: Path, namespaces: bool) -> list[Process]:
    """Start `argv` in a session of its own, its output appended to the state folder's daemon.log.

    The result is the first process, which all others die with, and below it the daemon, if that is another one.
    """
    log = state / "daemon.log"
    log.touch(mode=0o600)
    done = subprocess.run(
        ["sh", "-c", DETACH, "launch", *(NAMESPACES if namespaces else ()), *argv],
        env={**os.environ, "RZP_LAB_LOG": str(log)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    first = process.of(int(done.stdout))
    return [first, *_below(first)] if namespaces else [first]


def _below(first: Process) -> list[Process]:
    """The child that unshare makes within milliseconds, unless it fails."""
    deadline = time.monotonic() + 5
    while first.alive and time.monotonic() < deadline:
        if children := first.children():
            return [process.of(children[0])]
        time.sleep(0.002)
    return []


def end(processes: list[Process], *, patience: float, after_kill: float) -> None:
    """Ask the daemon, the last of them, to close; after `patience` seconds kill all, and with them all that they started."""
    for daemon in processes[-1:]:
        if patience and daemon.alive:
            _signal(daemon.pid, signal.SIGTERM)
    _gone(processes, patience)
    for one in processes:
        if one.alive:
            _signal(one.pid, signal.SIGKILL)
    _gone(processes, after_kill)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _gone(processes: list[Process], limit: float) -> None:
    deadline = time.monotonic() + limit
    while any(one.alive for one in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
