"""What is mounted, as the kernel tells."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from bootstrap.lab.machines.command import run


def of_device(pattern: str) -> list[Path]:
    """The mount points of devices with such a name; the last mounted first, for mounts may be stacked."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = []
    for line in lines:
        head, tail = line.split(" - ", 1)
        if fnmatchcase(tail.split()[1], pattern):
            point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), head.split()[4])
            points.append(Path(point))
    return points[::-1]


def overlay(name: str, *, lower: tuple[Path, ...], upper: Path, work: Path, point: Path) -> None:
    """Mount an overlay whose device name is its mark; `lower` is listed from the topmost down."""
    layers = ":".join(map(str, lower))
    run(
        "mount", "-t", "overlay", name, "-o", f"lowerdir={layers},upperdir={upper},workdir={work}", str(point)
    )


def unmount(point: Path) -> None:
    run("umount", str(point))
