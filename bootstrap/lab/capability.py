"""Which backend this machine can run, and why: asked of the machine, not of its name."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bootstrap.errors import LabError

BACKENDS = ("auto", "record", "nspawn")


@dataclass(frozen=True)
class Choice:
    """`reason` is a clause, to be read after the backend's name."""

    backend: str
    reason: str


def choose(wanted: str) -> Choice:
    """The backend for `lab start`; LabError when the one that was asked for cannot run here."""
    if wanted not in BACKENDS:
        raise LabError(f"no backend {wanted!r}; there are {', '.join(BACKENDS)}")
    if wanted == "record":
        return Choice("record", "asked for; it boots no machines")
    obstacle = obstacle_to_machines()
    if obstacle is None:
        return Choice("nspawn", "root on Linux, with everything that machines need")
    if wanted == "nspawn":
        raise LabError(f"the lab cannot boot machines here: {obstacle}")
    return Choice("record", f"it boots no machines: {obstacle}")


def obstacle_to_machines() -> str | None:
    """The first thing that keeps machines from booting here, with the way to remove it; None when they can."""
    if sys.platform != "linux":
        return "machines need Linux"
    if os.geteuid() != 0:
        return "machines need root (sudo)"
    from bootstrap.lab.machines import image  # Linux only

    if lacking := image.missing_tools():
        return f"packages are missing: {image.install_line(lacking)}"
    for file, purpose in (("/dev/loop-control", "disks"), ("/dev/fuse", "seed ISOs")):
        if not Path(file).exists():
            return f"{file} is missing, which {purpose} need"
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs (modprobe overlay)"
    if not os.access("/sys/fs/cgroup", os.W_OK):
        return "/sys/fs/cgroup cannot be written, as in a container without its own control groups"
    return _namespaces()


def _namespaces() -> str | None:
    from bootstrap.lab.machines.command import run

    try:
        run("unshare", "--mount", "--pid", "--net", "--fork", "true")
    except LabError as error:
        return f"namespaces cannot be made ({error})"
    return None
