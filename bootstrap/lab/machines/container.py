"""The systemd-nspawn command line of a machine: what the container is given, so that it is like a VM and fit for K3s."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bootstrap.lab.machines import cgroup, netns

PLAIN = ("var/lib/rancher", "var/lib/kubelet", "var/lib/containerd")
"""Folders of the guest on the host's own file system: no overlay can be stacked on the machine's overlay."""

DEVICES = (Path("/dev/kmsg"), Path("/dev/fuse"))
"""The kubelet reads the first; the second mounts an ISO where the kernel cannot."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """`namespace` is the network namespace; `binds` maps the guest's paths to the host's."""

    name: str
    uuid: str
    root: Path
    namespace: str
    binds: dict[str, Path]

    def command(self) -> list[str]:
        """nsenter, not --network-namespace-path: with that, nspawn 252 shows the host's /sys/class/net."""
        return [
            *("nsenter", f"--net={netns.path(self.namespace)}", "systemd-nspawn", "--quiet"),
            *(f"--directory={self.root}", f"--machine={self.name}", f"--uuid={self.uuid}"),
            *("--register=no", "--keep-unit", "--boot", "--console=read-only", "--kill-signal=SIGRTMIN+3"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            # without NET_ADMIN networkd does not start; without @keyring runc does not
            *("--capability=CAP_NET_ADMIN", "--system-call-filter=@keyring"),
            *(f"--bind={device}" for device in DEVICES if device.exists()),
            *(f"--bind={_escaped(source)}:{target}" for target, source in self.binds.items()),
        ]


def environment() -> dict[str, str]:
    """/proc/sys/net is the machine's own and writable; the rest of /proc/sys is the host's, and is not."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if cgroup.unified() else "0",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        "SYSTEMD_NSPAWN_LOCK": "0",
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
    }


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:")
