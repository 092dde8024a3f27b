"""One machine that is switched on: its disks, network, control group and container, and the power buttons."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import LabError
from bootstrap.lab.machines import container, loop, mark, mounts
from bootstrap.lab.machines.cgroup import Cgroup
from bootstrap.lab.machines.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.lab.backend import Disk, Hardware
    from bootstrap.lab.machines.network import Network

REBOOT = 133
"""nspawn's exit status when the guest has asked for a reboot (with --keep-unit)."""

POWER_OFF, RESTART = 4, 5
"""Added to SIGRTMIN: what systemd as a guest's init understands, as a real one understands the ACPI power button."""

CDROM = "/dev/sr0"
log = logging.getLogger(__name__)


class Machine:
    """`folder` keeps what survives a power cycle (the overlay); everything else is made and removed with it."""

    def __init__(
        self, hardware: Hardware, *, folder: Path, lab: str, layers: tuple[Path, ...], network: Network
    ) -> None:
        self._hardware = hardware
        self._folder = folder
        self._name = mark.machine(lab, hardware.vmid)
        self._lab = lab
        self._layers = layers
        self._network = network
        self._cgroup = Cgroup(())
        self._data: dict[str, Disk] = {}  # the guest's device → what it is
        self._devices: dict[str, Path] = {}  # the guest's device → the loop device behind it
        self._process: asyncio.subprocess.Process | None = None
        self._boots = 0
        self._unplugged = False
        self._off = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def on(self) -> bool:
        return not self._off.is_set()

    async def start(self) -> None:
        """Return when the container runs; raises LabError, with nothing left behind, when it cannot."""
        try:
            await asyncio.to_thread(self._assemble)
            await self._boot()
        except BaseException as error:
            await asyncio.to_thread(self._take_apart)
            self._off.set()
            if isinstance(error, OSError):
                raise LabError(f"VM {self._hardware.vmid} does not start: {error}") from error
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Pull the plug; again if the container was just being started anew."""
        self._unplugged = True
        while self.on:
            await asyncio.to_thread(self._kill)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._off.wait(), 1)

    async def shutdown(self, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        return await self._press(POWER_OFF, lambda: not self.on, timeout)

    async def reboot(self, timeout: float) -> bool:  # noqa: ASYNC109 - the guest's time
        before = self._boots
        return await self._press(RESTART, lambda: self._boots > before, timeout)

    async def eject(self) -> None:
        """Also from a running guest, for the loop device's number may soon stand for another machine's disk."""
        self._hardware = replace(self._hardware, cdrom=None)
        device = self._devices.pop(CDROM, None)
        if device is None:
            return
        await asyncio.to_thread(self._inside, f"umount --lazy {CDROM} {device}; rm -f {CDROM} {device}")
        await asyncio.to_thread(loop.detach, device)

    async def plug(self, disk: Disk) -> None:
        """Into a running guest; a disk that it has already is looked at anew, for it may be larger."""
        await asyncio.to_thread(self._plug, disk)

    def _plug(self, disk: Disk) -> None:
        if disk.slot in {known.slot for known in self._hardware.disks}:
            for device in (name for name, known in self._data.items() if known.slot == disk.slot):
                loop.refresh(self._devices[device])
            return
        device = next(name for name in _names() if name not in self._data)
        node = self._devices[device] = loop.attach(disk.path)
        self._data[device] = disk
        self._hardware = replace(self._hardware, disks=(*self._hardware.disks, disk))
        self._tell_disks()
        number = node.stat().st_rdev
        make = f"b {os.major(number)} {os.minor(number)}"
        self._inside(f"mknod -m 660 {node} {make}; mknod -m 660 {device} {make}")

    def _inside(self, script: str) -> None:
        """In the guest's mounts; not in one that is just going down."""
        if init := self._init():
            with suppress(LabError):
                run("nsenter", f"--target={init}", "--mount", "--pid", "sh", "-c", script)

    async def _press(self, button: int, happened: Callable[[], bool], limit: float) -> bool:
        """An init that is only just starting does not hear the signal, so it is repeated."""
        deadline = time.monotonic() + limit
        again = 0.0
        while not happened() and self.on and time.monotonic() < deadline:
            if time.monotonic() >= again and (init := self._init()):
                with suppress(ProcessLookupError):
                    os.kill(init, signal.SIGRTMIN + button)
                again = time.monotonic() + 1
            await asyncio.sleep(0.02)
        return happened()

    def _init(self) -> int | None:
        """The guest's first process: of nspawn's children the one that is number 1 in a namespace of its own."""
        if self._process is None or self._process.returncode is not None:
            return None
        pid = self._process.pid
        with suppress(OSError):
            for child in reversed(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
                status = Path(f"/proc/{child}/status").read_text().splitlines()
                numbers = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
                if numbers[-1] == "1" and len(numbers) > 1:
                    return int(child)
        return None

    async def _keep(self) -> None:
        """Stand by the container: on again after a reboot, everything put away when it is off or was killed."""
        try:
            while self._process and await self._process.wait() == REBOOT and not self._unplugged:
                await self._boot()
        except (LabError, OSError):
            log.exception("machine %s did not come back", self._hardware.vmid)
        try:
            await asyncio.to_thread(self._take_apart)
        except (LabError, OSError):
            log.exception("machine %s left something behind", self._hardware.vmid)
        finally:
            self._off.set()

    async def _boot(self) -> None:
        box = container.Container(
            name=self._name,
            uuid=self._hardware.uuid,
            root=self._folder / "root",
            namespace=self._name,
            binds=self._binds(),
        )
        with (self._folder / "console.log").open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(
                *self._cgroup.entered_by(box.command()),
                env=container.environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._boots += 1

    def _binds(self) -> dict[str, Path]:
        plain = {f"/{name}": self._folder / Path(name).name for name in container.PLAIN}
        # under their own names too: lsblk and blkid look there, for that is what /sys calls them
        own_names = {str(device): device for device in self._devices.values()}
        return {**plain, "/run/rzp-lab": self._folder / "platform", **self._devices, **own_names}

    def _assemble(self) -> None:
        self._data = data_disks(self._hardware)
        for name in ("upper", "work", "root", "platform", *(Path(plain).name for plain in container.PLAIN)):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        self._tell_disks()
        self._cgroup = Cgroup.create(self._lab, f"m{self._hardware.vmid}")
        self._network.plug(self._hardware.vmid, self._hardware.nics)
        upper, work, root = (self._folder / name for name in ("upper", "work", "root"))
        mounts.overlay(self._name, lower=self._layers, upper=upper, work=work, point=root)
        for device, disk in self._data.items():
            self._devices[device] = loop.attach(disk.path)
        if self._hardware.cdrom:
            self._devices[CDROM] = loop.attach(self._hardware.cdrom, read_only=True)

    def _tell_disks(self) -> None:
        """What the guest's stand-in for udev goes by."""
        table = "".join(
            f"{device.removeprefix('/dev/')} {disk.slot}\n" for device, disk in self._data.items()
        )
        (self._folder / "platform" / "disks").write_text(table)

    def _kill(self) -> None:
        """When nspawn goes first, its children become the daemon's (process 1 here), which must wait for them."""
        orphans = self._cgroup.pids() - {self._process.pid if self._process else 0}
        self._cgroup.kill()
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _take_apart(self) -> None:
        """In this order: see cleanup."""
        self._kill()
        self._network.unplug(self._hardware.vmid)
        for point in mounts.of_device(self._name):
            mounts.unmount(point)
        while self._devices:
            loop.detach(self._devices.popitem()[1])
        self._cgroup.remove()


def data_disks(hardware: Hardware) -> dict[str, Disk]:
    """The guest's device for each disk but the first, which is the overlay."""
    disks = sorted(hardware.disks, key=lambda disk: (len(disk.slot), disk.slot))
    if not disks or not disks[0].imported:
        raise LabError(f"VM {hardware.vmid}: no bootable disk")
    return dict(zip(_names(), disks[1:], strict=False))


def _names() -> list[str]:
    """Of the data disks, in a guest."""
    return [f"/dev/sd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz"]
