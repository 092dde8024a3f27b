"""The guest layer: the files that make a container show what a virtual machine shows (guest/, owned by root).

It lies between the image and a machine's own changes. It is copied at every start of the lab, so that a
checkout's owner and umask do not show inside the machines.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SOURCE = Path(__file__).parent / "guest"
EXECUTABLE = ("usr/lib/rzp-lab", "usr/local/sbin", "usr/sbin")
WANTED = {
    "sysinit.target": ("rzp-lab-machine.service", "rzp-lab-disks.service", "rzp-lab-disks.path"),
    "multi-user.target": ("qemu-guest-agent.service",),
}
"""What is started at boot. (On a real machine udev starts the agent as soon as its port appears.)"""

MASKED = (
    *(
        "rpcbind.service",
        "rpcbind.socket",
        "nfs-blkmap.service",
        "nfs-client.target",
        "rpc-statd-notify.service",
    ),
    *("run-rpc_pipefs.mount", "open-iscsi.service", "e2scrub_reap.service"),
)
"""Come with the packages, and cost boot time or fail where the kernel is shared."""


def build(target: Path) -> Path:
    """Copy the layer to `target`, anew."""
    shutil.rmtree(target, ignore_errors=True)
    for source in sorted(SOURCE.rglob("*")):
        if source.is_file():
            name = source.relative_to(SOURCE)
            _write(target / name, source.read_bytes(), executable=str(name.parent) in EXECUTABLE)
    units = target / "etc/systemd/system"
    for wanting, wanted in WANTED.items():
        (units / f"{wanting}.wants").mkdir(exist_ok=True)
        for unit in wanted:
            (units / f"{wanting}.wants" / unit).symlink_to(f"../{unit}")
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    # else the first boot rebuilds caches that the image has: what is newer than /usr counts as up to date
    for stamp in ("etc/.updated", "var/.updated"):
        _write(target / stamp, b"", executable=False)
    os.utime(target / "usr", (0, 0))
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o755)
    return target


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)
