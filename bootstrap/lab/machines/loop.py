"""Loop devices: how a volume's file becomes a disk of a machine, and an ISO its cdrom."""

from __future__ import annotations

import json
import time
from pathlib import Path

from bootstrap.lab.machines.command import run

PATIENCE = 2.0
"""Seconds; a device that is still open is freed by the kernel when the last user closes it."""


def attach(file: Path, *, read_only: bool = False) -> Path:
    """The loop device that now stands for `file`."""
    flags = ["--read-only"] if read_only else []
    return Path(run("losetup", "--find", "--show", *flags, str(file)).strip())


def refresh(device: Path) -> None:
    """The device is as large as its file is by now; whoever has it open sees that at once."""
    run("losetup", "--set-capacity", str(device))


def detach(device: Path) -> None:
    """Return when the device is free. A dead machine's mounts of it end some milliseconds after its processes."""
    backing = Path("/sys/block") / device.name / "loop/backing_file"
    file = _text(backing)
    run("losetup", "--detach", str(device))
    deadline = time.monotonic() + PATIENCE
    while file and _text(backing) == file and time.monotonic() < deadline:
        time.sleep(0.005)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def attached(below: Path) -> list[Path]:
    """The devices whose file is, or was, below a folder."""
    listed = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE")
    devices = json.loads(listed or "{}").get("loopdevices", [])
    return [
        Path(device["name"])
        for device in devices
        if Path(device["back-file"].removesuffix(" (deleted)")).is_relative_to(below.resolve())
    ]
