"""The managed fields of a VM: what is wanted of each, and its verdict, which says how a difference is put right.

What PVE applies to a running VM and what it keeps pending until the next start is as recorded from its real code (flow
03-change): tags, description, onboot, protection and agent at once; network cards and further disks by hotplug; the rest waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bootstrap.live import Live
from bootstrap.machine import Machine


class Verdict(Enum):
    """How a difference of a field is put right."""

    NOW = "in place"
    REBOOT = "in place, after a reboot"
    REPLACE = "only by replacement"


VERDICTS: dict[str, Verdict] = {
    "cores": Verdict.REBOOT,
    "memory": Verdict.REBOOT,
    "cpu": Verdict.REBOOT,
    "balloon": Verdict.REBOOT,
    "ostype": Verdict.REBOOT,
    "scsihw": Verdict.REBOOT,
    "serial0": Verdict.REBOOT,
    "sockets": Verdict.REBOOT,
    "agent": Verdict.NOW,
    "description": Verdict.NOW,
    "onboot": Verdict.NOW,
    "protection": Verdict.NOW,
    "tags": Verdict.NOW,
    "net0 bridge": Verdict.NOW,
    "net0 tag": Verdict.NOW,
    "machine": Verdict.REPLACE,  # another chipset: the guest's devices move
    "net0 mac": Verdict.REPLACE,  # the guest's network configuration names the card by it
    "addresses": Verdict.REPLACE,  # they are in the seed; the VM's SMBIOS data remember what it was made with
}
"""All but disks: a missing one is added and a smaller one grows in place; a larger one is only replaced, and so is what else is
in its slot."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. Sizes of disks are in GiB, None: there is no such disk.

    `undoes`: the VM runs with `new`, and `old` is only what somebody set for its next start; setting it withdraws that.
    """

    field: str
    old: Any
    new: Any
    undoes: bool = False

    @property
    def verdict(self) -> Verdict:
        if self.undoes:
            return Verdict.NOW
        if self.is_disk:
            return Verdict.REPLACE if self.old is not None and self.old > self.new else Verdict.NOW
        if self.field == "net0 mac" and self.old is None:
            return Verdict.NOW  # there is no card; the new one has the address that the guest knows
        return VERDICTS.get(self.field, Verdict.REPLACE)

    @property
    def is_disk(self) -> bool:
        return self.field.endswith(" size")

    def __str__(self) -> str:
        return f"{self.field}: {self._shown(self.old)} → {self._shown(self.new)}"

    def _shown(self, value: Any) -> str:
        if value is None:
            return "not there" if self.is_disk else "not set"
        if self.is_disk:
            return f"{value:g} GiB"
        return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def managed_fields(machine: Machine) -> dict[str, Any]:
    """The fields beside disks and tags, as plain values; proxmox/configuration.py reads the same names."""
    described = {} if machine.description is None else {"description": machine.description}
    return {
        "cores": machine.cores,
        "sockets": 1,
        "memory": machine.memory_mib,
        "cpu": machine.cpu_type,
        "machine": "q35",
        "scsihw": "virtio-scsi-single",
        "balloon": 0,
        "ostype": "l26",
        "agent": True,
        "onboot": True,
        "protection": machine.protection,
        "serial0": "socket",
        "net0 mac": machine.mac,
        "net0 bridge": machine.bridge,
        "net0 tag": machine.vlan,
        "addresses": machine.address_text,
        **described,
    }


def field_changes(machine: Machine, live: Live) -> Iterable[FieldChange]:
    """Every managed field that differs. Further tags, disks and keys are the operator's own."""
    for name, new in managed_fields(machine).items():
        old = live.fields.get(name)
        if name == "addresses" and old is None:
            continue  # a VM that does not say what it was made with
        if old != new:
            runs_as_wanted = live.running and name in live.running_fields and live.running_fields[name] == new
            yield FieldChange(name, old, new, undoes=runs_as_wanted)
    for disk in machine.disks:
        size = live.disks.get(disk.slot)
        if disk.slot in live.taken:
            yield FieldChange(disk.slot, live.taken[disk.slot], f"{disk.gib} GiB")
        elif size != disk.gib:
            yield FieldChange(f"{disk.slot} size", size, disk.gib)
    if machine.role not in live.tags:
        yield FieldChange("tags", ";".join(sorted(live.tags)), ";".join(sorted(live.tags | {*machine.tags})))


def waiting(live: Live) -> tuple[FieldChange, ...]:
    """What was changed and takes effect at the next start; of managed fields, and nothing when the VM is off."""
    found = (FieldChange(name, old, live.fields.get(name)) for name, old in live.running_fields.items())
    return tuple(change for change in found if change.old != change.new) if live.running else ()
