"""The backend whose machines boot: Debian in systemd-nspawn containers, in networks of the lab's own.

Needs Linux, root and the tools of image.TOOLS. It expects a mount and a pid namespace of its own (control.start sees to
that), so that even kill -9 of the daemon leaves no process and no mount.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError
from bootstrap.lab.machines import cleanup, image, layer, mark
from bootstrap.lab.machines.command import run
from bootstrap.lab.machines.machine import Machine
from bootstrap.lab.machines.network import Network

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from bootstrap.lab.backend import Disk, Hardware

log = logging.getLogger(__name__)


class Nspawn:
    """`netns` is the inode number of the lab's switch namespace once it is open."""

    name = "nspawn"

    def __init__(self, state: Path, plan: dict[str, Any]) -> None:
        self.netns: int | None = None
        self._state = state.resolve()
        self._ports = {"api": plan.get("port"), "files": plan.get("files_port")}
        self._mark = mark.of(state)
        self._network = Network.of_plan(self._mark, plan)
        self._layers: tuple[Path, ...] = ()
        self._machines: dict[int, Machine] = {}

    async def open(self) -> None:
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        cleanup.remove(self._state)
        root = image.ensure(log.info)
        self._layers = (layer.build(self._state / "image" / "guest"), root)
        self.netns = self._network.open()

    async def sockets(self) -> list[tuple[str, socket.socket]]:
        return await asyncio.to_thread(self._network.listeners, **self._ports)

    async def start(self, hardware: Hardware) -> None:
        if self.running(hardware.vmid):
            raise LabError(f"VM {hardware.vmid} already running")
        machine = Machine(
            hardware,
            folder=self._folder(hardware.vmid),
            lab=self._mark,
            layers=self._layers,
            network=self._network,
        )
        self._machines[hardware.vmid] = machine
        await machine.start()

    async def stop(self, vmid: int) -> None:
        if machine := self._on(vmid):
            await machine.stop()

    async def shutdown(self, vmid: int, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        machine = self._on(vmid)
        return machine is None or await machine.shutdown(timeout)

    async def reboot(self, vmid: int, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        machine = self._on(vmid)
        return machine is not None and await machine.reboot(timeout)

    def running(self, vmid: int) -> bool:
        return self._on(vmid) is not None

    async def eject(self, vmid: int) -> None:
        if machine := self._on(vmid):
            await machine.eject()

    async def plug(self, vmid: int, disk: Disk) -> None:
        if machine := self._on(vmid):
            await machine.plug(disk)

    async def erase(self, vmid: int) -> None:
        await self.stop(vmid)
        self._machines.pop(vmid, None)
        await asyncio.to_thread(run, "rm", "-rf", "--one-file-system", str(self._folder(vmid)))

    async def close(self) -> None:
        await asyncio.gather(*(self.stop(vmid) for vmid in self._machines), return_exceptions=True)
        await asyncio.to_thread(cleanup.remove, self._state)

    def _on(self, vmid: int) -> Machine | None:
        machine = self._machines.get(vmid)
        return machine if machine and machine.on else None

    def _folder(self, vmid: int) -> Path:
        return self._state / "machines" / str(vmid)
