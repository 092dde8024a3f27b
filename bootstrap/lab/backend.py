"""Between the API server and the machines: what a machine is started with, and who can start it.

A backend may also have `async def sockets(self) -> list[tuple[str, socket.socket]]`: listening sockets inside the lab's own
network, each "api" or "files", that the daemon serves next to its own on loopback, and `def guest(self, vmid) -> Guest | None`:
the agent in a machine. The daemon has put the ports that it
listens on into the plan before it makes the backend: `plan["port"]` (API) and `plan["files_port"]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bootstrap.errors import LabError
from bootstrap.lab.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Backend", "Disk", "Hardware", "LabError", "Nic", "Record"]


@dataclass(frozen=True, kw_only=True)
class Nic:
    """One network card; `tag` is the VLAN."""

    mac: str
    bridge: str
    tag: int | None


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One disk: `path` is the volume's file, sparse and as long as the disk is."""

    slot: str
    path: Path
    imported: bool  # made by import-from, so it carries an operating system


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a machine is started with; `uuid` is the SMBIOS one."""

    vmid: int
    name: str
    cores: int
    memory_mib: int
    uuid: str
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    cdrom: Path | None
    boot: tuple[str, ...]
    boots: bool = True  # False: the machine is to count as running and never to answer


class Backend(Protocol):
    """The machines. An error is a LabError; its text becomes the error of the Proxmox task."""

    name: str

    async def open(self) -> None: ...
    async def start(self, hardware: Hardware) -> None: ...
    async def stop(self, vmid: int) -> None: ...
    async def shutdown(self, vmid: int, timeout: float) -> bool: ...  # noqa: ASYNC109 - the guest's time, not ours
    async def reboot(self, vmid: int, timeout: float) -> bool: ...  # noqa: ASYNC109 - the guest's time, not ours
    def running(self, vmid: int) -> bool: ...
    async def eject(self, vmid: int) -> None: ...
    async def plug(self, vmid: int, disk: Disk) -> None: ...
    async def erase(self, vmid: int) -> None: ...
    async def close(self) -> None: ...


class Record:
    """No machines: only remembers which are on. They obey a shutdown at once, or, being deaf, never.

    While `agents` is set, a pretended agent answers in each (`addresses`: MAC → addresses with their prefix lengths)."""

    name = "record"

    def __init__(self, *, deaf: bool = False, addresses: Mapping[str, list[str]] | None = None) -> None:
        self._on: dict[int, Guest] = {}
        self._deaf = deaf
        self._addresses = addresses or {}
        self.agents = False

    async def open(self) -> None:
        """Nothing to prepare."""

    async def start(self, hardware: Hardware) -> None:
        macs = [nic.mac for nic in hardware.nics]
        self._on[hardware.vmid] = Guest({mac: self._addresses.get(mac.upper(), []) for mac in macs})

    async def stop(self, vmid: int) -> None:
        self._on.pop(vmid, None)

    async def shutdown(self, vmid: int, timeout: float) -> bool:  # noqa: ARG002, ASYNC109 - the interface's
        if not self._deaf:
            self._on.pop(vmid, None)
        return vmid not in self._on

    async def reboot(self, vmid: int, timeout: float) -> bool:  # noqa: ARG002, ASYNC109 - the interface's
        return vmid in self._on and not self._deaf

    def running(self, vmid: int) -> bool:
        return vmid in self._on

    async def eject(self, vmid: int) -> None:
        """No drive, no medium."""

    async def plug(self, vmid: int, disk: Disk) -> None:
        """A running machine gets a disk, or one of its own is larger now; nobody looks."""

    async def erase(self, vmid: int) -> None:
        self._on.pop(vmid, None)

    def guest(self, vmid: int) -> Guest | None:
        """The agent in the machine, if one answers."""
        return self._on.get(vmid) if self.agents else None

    async def close(self) -> None:
        self._on.clear()
