"""What runs of a lab at this moment, judged by processes: a stale endpoint file does not count."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.lab import process

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Status:
    """What `lab status` tells; all but `leftovers` is empty when no lab runs. No secret is in it."""

    running: bool
    environment: str = ""
    backend: str = ""
    reason: str = ""
    url: str = ""
    pid: int = 0
    machines: tuple[int, ...] = ()
    """VMIDs of the machines whose processes run (nspawn only)."""
    leftovers: tuple[str, ...] = ()
    """What a killed lab left; `lab stop` removes it."""


def read(state: Path) -> Status:
    if not process.alive(state):
        return Status(running=False, leftovers=tuple(leftovers(state)))
    endpoint = _endpoint(state)
    return Status(
        running=True,
        environment=endpoint.get("environment", ""),
        backend=endpoint.get("backend", ""),
        reason=endpoint.get("reason", ""),
        url=endpoint.get("url", ""),
        pid=process.noted(state)[0].pid,
        machines=_machines(state),
    )


def leftovers(state: Path) -> list[str]:
    """What a killed lab left outside its state folder. Only root on Linux can have made any."""
    if sys.platform != "linux" or os.geteuid() != 0 or not state.is_dir() or shutil.which("losetup") is None:
        return []
    from bootstrap.lab.machines import cleanup

    return cleanup.leftovers(state)


def _machines(state: Path) -> tuple[int, ...]:
    if sys.platform != "linux":
        return ()
    from bootstrap.lab.machines import cgroup, mark

    names = {
        folder.name
        for group in cgroup.found(mark.of(state))
        for folder in group.glob("m*")
        if folder.is_dir()
    }
    return tuple(sorted(int(name[1:]) for name in names if name[1:].isdigit()))


def _endpoint(state: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((state / "endpoint.json").read_text())
    except (OSError, ValueError):
        return {}
    return values
