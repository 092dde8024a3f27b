"""One control group per machine, in every hierarchy that the host has (cgroup v1, v2, or both side by side).

A machine's processes are known by their group and by nothing else: a pid may be gone, or somebody else's.
Seen working: v1 controllers beside a v2 hierarchy without controllers. A pure v2 host is best effort: there the
groups are made at the top, because a group with processes in it (as the session that started the lab) may
not hand controllers down; whether every host's systemd lets them be was not seen.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import LabError

ROOT = Path("/sys/fs/cgroup")
INHERITED = ("cpuset.mems", "cpuset.cpus")
"""v1: empty in a new group, and no process can enter until they are set."""


def unified() -> bool:
    """Whether the host has cgroup v2 alone."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The root of each mounted hierarchy."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted({Path(fields[1]) for fields in mounts if fields[2] in {"cgroup", "cgroup2"}})


def _own() -> list[Path]:
    """The group of this process in each hierarchy; on a pure v2 host the top."""
    if unified():
        return [ROOT]
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        name = "unified" if number == "0" else controllers.removeprefix("name=")
        if (ROOT / name).is_dir():
            groups.append(ROOT / name / path.lstrip("/"))
    return groups


def found(name: str) -> list[Path]:
    """Every group of this name, wherever the daemon that made it was running."""
    return [
        Path(folder) / name for root in hierarchies() for folder, below, _ in os.walk(root) if name in below
    ]


@dataclass(frozen=True)
class Cgroup:
    """The groups of one machine, or of one lab with all its machines: one folder per hierarchy."""

    folders: tuple[Path, ...]

    @classmethod
    def create(cls, *names: str) -> Cgroup:
        """Groups nested as named, below this process's own."""
        folders = []
        for folder in _own():
            group = folder
            for name in names:
                group /= name
                group.mkdir(exist_ok=True)
                _prepare(group)
            folders.append(group)
        if not folders:
            raise LabError(f"no control group hierarchy is mounted below {ROOT}")
        return cls(tuple(folders))

    def entered_by(self, argv: list[str]) -> list[str]:
        """The command line that enters the groups and then becomes `argv`, under the same pid."""
        script = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
        return ["sh", "-c", script, "enter", *map(str, self.folders), "--", *argv]

    def pids(self) -> set[int]:
        """The processes in these groups and below, as this pid namespace numbers them (0: not seen from here)."""
        numbers: set[int] = set()
        for top in self.folders:
            for folder, _, _ in os.walk(top):  # the guest's systemd adds and removes groups meanwhile
                with suppress(OSError):
                    numbers.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
        return numbers

    def kill(self, timeout: float = 10.0) -> None:
        """SIGKILL to every process, and wait until none is left: before that mounts and loop devices stay busy."""
        deadline = time.monotonic() + timeout
        for folder in self.folders:
            with suppress(OSError):  # cgroup v1 has no such file; the loop below does without
                (folder / "cgroup.kill").write_text("1")
        while pids := self.pids():
            for pid in pids - {0}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                raise LabError(f"processes do not die: {sorted(pids)} in {self.folders[0]}")
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove the groups, the innermost first. A process that is just ending holds its group a moment longer."""
        deadline = time.monotonic() + 5
        for top in self.folders:
            while top.exists():
                try:
                    for folder, _, _ in os.walk(top, topdown=False):
                        Path(folder).rmdir()
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise LabError(f"control group {top} cannot be removed: {error.strerror}") from error
                    time.sleep(0.01)


def _prepare(group: Path) -> None:
    for name in INHERITED:
        file = group / name
        if file.exists() and not unified() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())
    if unified():
        for controller in (group.parent / "cgroup.controllers").read_text().split():
            try:
                (group.parent / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError:
                continue  # a host that does not hand it down; systemd in the machine runs without
