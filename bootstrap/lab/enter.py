"""Running a command inside the lab's network: there the API answers on loopback, and machines at their addresses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bootstrap.errors import LabError
from bootstrap.lab import process
from bootstrap.lab.machines import mark

if TYPE_CHECKING:
    from collections.abc import Sequence


def namespace(state: Path) -> Path:
    """The lab's network namespace, seen through the mount namespace of its running daemon."""
    if not process.alive(state):
        raise LabError("the lab is not running; start it: rzp-bootstrap lab start")
    path = Path(f"/proc/{process.noted(state)[0].pid}/root/run/netns/{mark.switch(mark.of(state))}")
    if os.geteuid() != 0:
        raise LabError("entering the lab's network needs root (sudo)")
    if not path.exists():
        raise LabError(
            "the running lab has no network: its backend boots no machines (rzp-bootstrap lab status)"
        )
    return path


def inside(state: Path) -> bool:
    """Whether this process is in the lab's network already."""
    try:
        return namespace(state).stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    except (LabError, OSError):
        return False


def command(state: Path, argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` there, in the same folder, with the same environment and terminal."""
    return ["nsenter", f"--net={namespace(state)}", "--", *argv]


def execute(state: Path, argv: Sequence[str]) -> NoReturn:
    """Become `argv` inside the lab's network; its exit status is the caller's."""
    line = command(state, argv)
    try:
        os.execvp(line[0], line)  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise LabError(f"{line[0]}: not installed") from error


def call(state: Path, argv: Sequence[str]) -> int:
    """Run `argv` there and return its exit status."""
    return subprocess.run(command(state, argv), check=False).returncode


def shell(state: Path) -> NoReturn:
    """An interactive shell inside the lab's network."""
    execute(state, [os.environ.get("SHELL", "/bin/sh")])
