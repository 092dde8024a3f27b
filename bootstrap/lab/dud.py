"""Machines that never come up, in front of a real backend: they count as running, hear nothing and answer nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bootstrap.lab.backend import Backend, Hardware


class Duds:
    """A backend whose hardware may be told not to boot; everything else goes to the backend behind."""

    def __init__(self, real: Backend) -> None:
        self.real = real
        self._on: set[int] = set()
        self.name = real.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def open(self) -> None:
        await self.real.open()

    async def start(self, hardware: Hardware) -> None:
        if hardware.boots:
            await self.real.start(hardware)
        else:
            self._on.add(hardware.vmid)

    async def stop(self, vmid: int) -> None:
        self._on.discard(vmid)
        await self.real.stop(vmid)

    async def shutdown(self, vmid: int, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        if vmid in self._on:
            await asyncio.sleep(timeout)
            return vmid not in self._on
        return await self.real.shutdown(vmid, timeout)

    async def reboot(self, vmid: int, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        if vmid in self._on:
            await asyncio.sleep(timeout)
            return False
        return await self.real.reboot(vmid, timeout)

    def running(self, vmid: int) -> bool:
        return vmid in self._on or self.real.running(vmid)

    async def eject(self, vmid: int) -> None:
        if vmid not in self._on:
            await self.real.eject(vmid)

    async def erase(self, vmid: int) -> None:
        self._on.discard(vmid)
        await self.real.erase(vmid)

    async def close(self) -> None:
        self._on.clear()
        await self.real.close()
