"""Writes a change of a machine down, option by option: as pending, or as what shall go."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING

from bootstrap.lab.pve import drives
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.formats import boot_devices
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.options import DRIVES
from bootstrap.lab.pve.plug import UNUSED, drive_of, keep_unused, own_volume
from bootstrap.lab.pve.qemu import check_bridges, check_keys, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call

_HASHED = re.compile(r"\$(?:[156]|2[ay])(\$.+){2}")


class Writing:
    """One change. `touched` are the options that it is about, in the end."""

    def __init__(self, call: Call, machine: Machine, log: Callable[[str], None]) -> None:
        self._call, self._machine, self._log = call, machine, log
        self._order = boot_devices(machine.config.get("boot", ""))
        self.touched: set[str] = set()

    def remove(self, key: str, *, force: bool) -> None:
        machine = self._machine
        text = machine.config.get(key, machine.pending.get(key))
        if text is None:
            self._log(f"cannot delete '{key}' - not set in current configuration!")
            return
        was_pending = machine.pending.pop(key, None) is not None
        self.touched.add(key)
        if key in self._order:
            self._reorder([device for device in self._order if device != key])
        if UNUSED.fullmatch(key):
            self._free(key, text)
            return
        if key in DRIVES:
            machine.check_protection(f"can't remove drive '{key}'")
            self._check_drive(text)
            if was_pending:
                keep_unused(machine, text)
        self._check_special(key, text, "delete")
        if key == "tags":
            machine.config.pop(key, None)
            return
        machine.removals = sorted({*machine.removals, key})
        machine.forced += [key] if force else []

    def write(self, key: str, text: str, values: dict[str, str], removals: list[str], *, raw: bool) -> None:
        """`raw`: as the client wrote it, else as the configuration has it."""
        machine, lab = self._machine, self._call.lab
        self.touched.add(key)
        if machine.pending.get(key) == text:
            return
        if key in DRIVES:
            for one in filter(None, (machine.config.get(key), text)):
                self._check_drive(one)
            keep_unused(machine, machine.pending.pop(key, ""))
            machine.pending[key] = drives.make(lab, machine, key, text, self._log) if raw else text
            if self._order and is_cdrom(drive_of(text)) and key not in self._order:
                self._reorder([*self._order, key])
        elif key == "cipassword":
            machine.config[key] = text if _HASHED.match(text) else _hash(text)
        else:
            self._check_special(key, text, "modify")
            machine.pending[key] = normalise(key, text) if raw else text
        if key == "description" and not text.strip():
            machine.pending.pop(key)
            machine.removals = sorted({*machine.removals, *({key} & {*machine.config})})
            return
        if key == "boot":
            for device in boot_devices(text):
                if device in removals or not {device} & {*machine.config, *machine.pending, *values}:
                    raise Fault(500, f"invalid bootorder: device '{device}' does not exist'")
        machine.removals = [one for one in machine.removals if one != key]

    def _reorder(self, order: list[str]) -> None:
        self._order = order
        self._machine.pending["boot"] = f"order={';'.join(order)}" if order else " "
        self.touched.add("boot")

    def _free(self, key: str, text: str) -> None:
        """An unused disk dies."""
        volid = drive_of(text)["file"]
        self._machine.check_protection(f"can't remove unused disk '{volid}'")
        check_keys(self._call, self._call.vmid, "VM.Config.Disk")
        if own_volume(self._machine, text):
            self._call.require(f"/storage/{volid.partition(':')[0]}", "Datastore.AllocateSpace")
            self._call.lab.storages.free(self._machine.node, volid)
        del self._machine.config[key]

    def _check_drive(self, text: str) -> None:
        check_keys(
            self._call, self._call.vmid, "VM.Config.CDROM" if is_cdrom(drive_of(text)) else "VM.Config.Disk"
        )

    def _check_special(self, key: str, text: str, verb: str) -> None:
        """What is asked for only when the machine is known."""
        old = self._machine.config.get(key, "")
        if re.fullmatch(r"serial\d+", key):
            if {old, text} - {"", "socket"} and not self._call.who.is_root:
                raise Fault(500, f"only root can {verb} '{key}' config for real devices")
            check_keys(self._call, self._call.vmid, "VM.Config.HWType")
        elif key == "tags":
            check_keys(self._call, self._call.vmid, "VM.Config.Options")
        elif key.startswith("net"):
            check_bridges(self._call, {key: old} if old else {})


def _hash(password: str) -> str:
    salt = secrets.token_hex(8)
    return f"$5${salt}${hashlib.sha256(f'{salt}{password}'.encode()).hexdigest()}"
