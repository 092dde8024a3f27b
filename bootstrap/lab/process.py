"""Which process is the lab's daemon. A pid alone proves nothing: the start time tells a reused number apart."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "process.json"
GONE = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """`started` is the start time in clock ticks (field 22 of /proc/PID/stat), 0 where there is no /proc."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        if sys.platform != "linux":
            return _answers(self.pid)
        stat = _stat(self.pid)
        return stat is not None and stat[0] not in GONE and stat[1] == self.started

    def children(self) -> list[int]:
        try:
            return [
                int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        except OSError:
            return []


def note(state: Path, processes: list[Process]) -> None:
    """Write down what `lab stop` must see gone: the first process, and the daemon below it once it is known."""
    (state / FILE).write_text(json.dumps([asdict(process) for process in processes]))


def noted(state: Path) -> list[Process]:
    """What `lab start` wrote down, alive or not; empty when there is nothing."""
    try:
        return [Process(**fields) for fields in json.loads((state / FILE).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def alive(state: Path) -> bool:
    """A lab that lacks one of its processes is about to lose the others."""
    processes = noted(state)
    return bool(processes) and all(process.alive for process in processes)


def of(pid: int) -> Process:
    stat = _stat(pid)
    return Process(pid, stat[1] if stat else 0)


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time. The name before them may hold spaces and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
