"""What becomes of written changes: a stopped machine takes all of them, a running one what can be plugged; the rest waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bootstrap.lab.backend import Disk
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.formats import boot_devices, network_card
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.options import DRIVES, OPTIONS, bus_of
from bootstrap.lab.pve.schema import properties

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine

UNUSED = re.compile(r"unused\d+")
_FIXED_IN_DISK = ("aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro")
_FIXED_IN_CARD = ("model", "macaddr", "queues", "mtu")
_ANY_TIME = ("cpulimit", "cpuunits")


if TYPE_CHECKING:
    _Step = tuple[str, Callable[[Lab, Machine, str], Awaitable[None]], Callable[[Lab, Machine, str], None]]


class _Waits(Exception):
    """The change takes effect at the next start."""


def drive_of(text: str) -> dict[str, str]:
    return properties(text, "file")


def own_volume(machine: Machine, text: str) -> str | None:
    """The volume that a drive's text names, when it is the machine's own disk."""
    drive = drive_of(text)
    volid = drive.get("file", "")
    return volid if f"vm-{machine.vmid}-" in volid and not is_cdrom(drive) else None


def keep_unused(machine: Machine, text: str) -> None:
    """The machine's own disk stays with it as unused."""
    volid = own_volume(machine, text)
    if volid and volid not in (text for key, text in machine.config.items() if UNUSED.fullmatch(key)):
        number = next(number for number in range(256) if f"unused{number}" not in machine.config)
        machine.config[f"unused{number}"] = volid


def forget_used(machine: Machine) -> None:
    """What a drive names is not unused."""
    drives = [{key: one[key] for key in DRIVES if key in one} for one in (machine.config, machine.pending)]
    used = {text.partition(",")[0] for texts in drives for text in texts.values()}
    for key in [
        key
        for key in machine.config
        if UNUSED.fullmatch(key) and drive_of(machine.config[key])["file"] in used
    ]:
        del machine.config[key]


def _remove(lab: Lab, machine: Machine, key: str) -> None:
    """Takes the setting away; a disk stays as unused, or dies when that was asked for."""
    text = machine.config.pop(key, "")
    volid = own_volume(machine, text) if key in DRIVES else None
    if volid and key in machine.forced:
        lab.storages.free(machine.node, volid)
    elif volid:
        keep_unused(machine, text)
    machine.removals = [one for one in machine.removals if one != key]
    machine.forced = [one for one in machine.forced if one != key]


def settle(lab: Lab, machine: Machine) -> None:
    """A stopped machine takes everything that waits."""
    for key in sorted(machine.removals):
        _remove(lab, machine, key)
    for key, text in machine.pending.items():
        if key in DRIVES and key in machine.config:
            keep_unused(machine, machine.config[key])
        machine.config[key] = text
    machine.pending, machine.removals, machine.forced = {}, [], []
    forget_used(machine)


async def plug(lab: Lab, machine: Machine, asked: Collection[str]) -> dict[str, str]:
    """A running machine takes, of what was asked for, what can be plugged; what went wrong, by option."""
    for key in [key for key in machine.pending if key in OPTIONS and OPTIONS[key].live]:
        machine.config[key] = machine.pending.pop(key)
    work: list[_Step] = [(key, _unplug, _remove) for key in sorted({*machine.removals} & {*asked})]
    work += [(key, _exchange, _take) for key in machine.pending if key in asked]
    wrong: dict[str, str] = {}
    for key, attempt, write in work:
        try:
            await attempt(lab, machine, key)
        except _Waits:
            continue
        except Fault as fault:
            wrong[key] = f"hotplug problem - {fault.text}\n"
        else:
            write(lab, machine, key)
    forget_used(machine)
    return wrong


def _take(_: Lab, machine: Machine, key: str) -> None:
    machine.config[key] = machine.pending.pop(key)


def _features(machine: Machine) -> list[str]:
    """What may be plugged while the machine runs."""
    text = machine.config.get("hotplug", "1")
    return {"1": "network,disk,usb", "0": ""}.get(text, text).split(",")


def _need(machine: Machine, feature: str) -> None:
    if feature not in _features(machine):
        raise _Waits


async def _unplug(lab: Lab, machine: Machine, key: str) -> None:
    """Takes the device out, or says why not."""
    if key in DRIVES:
        _need(machine, "disk")
        if bus_of(key) in ("ide", "sata"):
            raise _Waits
        if key in boot_devices(machine.config.get("boot", "")):
            raise Fault(500, f"can't unplug bootdisk '{key}'")
        if is_cdrom(drive_of(machine.config.get(key, ""))):
            await lab.backend.eject(machine.vmid)
    elif key.startswith("net"):
        _need(machine, "network")
    elif key == "tablet":
        _need(machine, "usb")
    elif key == "balloon":
        if machine.config.get("balloon") == "0":
            raise _Waits
    elif not (key in _ANY_TIME or key == "hotplug" or (key in OPTIONS and OPTIONS[key].live)):
        raise _Waits


async def _exchange(lab: Lab, machine: Machine, key: str) -> None:
    """Puts the pending device in, or says why not."""
    old, new = machine.config.get(key, ""), machine.pending[key]
    if key in DRIVES:
        await _exchange_drive(lab, machine, key)
    elif re.fullmatch(r"net\d+", key):
        before, after = network_card(old), network_card(new)
        same = all(before.get(part) == after.get(part) for part in _FIXED_IN_CARD)
        if not old or not same or not (before.get("bridge") and after.get("bridge")):
            _need(machine, "network")
    elif key == "agent":
        before, after = properties(old, "enabled"), properties(new, "enabled")
        changed = {part for part in {*before, *after} if before.get(part) != after.get(part)}
        if not old or changed - {"fstrim_cloned_disks"}:
            raise _Waits
    elif key == "balloon":
        if (old == "0") != (new == "0"):
            raise _Waits
    elif key == "tablet":
        _need(machine, "usb")
    elif key not in (*_ANY_TIME, "hotplug"):
        raise _Waits


async def _exchange_drive(lab: Lab, machine: Machine, key: str) -> None:
    new = drive_of(machine.pending[key])
    old = drive_of(machine.config[key]) if key in machine.config else None
    if old and is_cdrom(old) != is_cdrom(new):
        raise Fault(500, "unable to change media type")
    if old and is_cdrom(old):
        if new["file"] == "none":
            await lab.backend.eject(machine.vmid)
        return
    if old and old["file"] == new["file"]:
        if any(old.get(part) != new.get(part) for part in _FIXED_IN_DISK):
            raise _Waits
        return
    _need(machine, "disk")
    if old and machine.config.get("machine", "").startswith("q35"):
        raise Fault(500, "can't hotplug device 'pci.3'")  # no bridge can be added to a running q35
    if bus_of(key) in ("ide", "sata"):
        raise _Waits
    if old:
        keep_unused(machine, machine.config[key])
    volume = lab.storages.existing(machine.node, new["file"])
    await lab.backend.plug(machine.vmid, Disk(slot=key, path=volume.file, imported=False))
