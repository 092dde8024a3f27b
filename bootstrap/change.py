"""A change is a value that describes itself: the plan that is printed, its JSON and a test's expectation are one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bootstrap.live import Live
from bootstrap.machine import Machine

NOT_APPLIED = "not applied by this version"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} → {_shown(self.new)}"


@dataclass(frozen=True, slots=True)
class FetchImage:
    """The cloud image goes to a node's storage."""

    node: str
    storage: str
    filename: str
    verb = "fetch"

    def __str__(self) -> str:
        return f"fetch image {self.filename} to {self.storage} on {self.node}"


@dataclass(frozen=True, slots=True)
class Create:
    """A machine that does not exist yet."""

    machine: Machine
    verb = "create"

    def __str__(self) -> str:
        m = self.machine
        disks = " + ".join(f"{disk.gib} GiB" for disk in m.disks)
        return f"create {m.name} (VMID {m.vmid} on {m.node}: {m.cores} cores, {m.memory_mib} MiB, {disks}, {m.address})"


@dataclass(frozen=True, slots=True)
class Finish:
    """A machine of ours whose creation was interrupted: its seed is still attached or stored."""

    machine: Machine
    live: Live
    verb = "finish"

    def __str__(self) -> str:
        return f"finish {self.machine.name} (VMID {self.machine.vmid}: an earlier run was interrupted)"


@dataclass(frozen=True, slots=True)
class Start:
    """A finished machine that is switched off."""

    machine: Machine
    live: Live
    verb = "start"

    def __str__(self) -> str:
        return f"start {self.machine.name} (VMID {self.machine.vmid}): power: stopped → running"


@dataclass(frozen=True, slots=True)
class Differs:
    """A machine whose fields differ from the environment; this version shows and does not change them."""

    machine: Machine
    changes: tuple[FieldChange, ...]
    verb = "differs"

    def __str__(self) -> str:
        return f"{self.machine.name} (VMID {self.machine.vmid}) differs, {NOT_APPLIED}: {'; '.join(map(str, self.changes))}"


@dataclass(frozen=True, slots=True)
class Delete:
    """A machine of ours that the environment no longer holds."""

    live: Live
    verb = "delete"

    def __str__(self) -> str:
        disks = " + ".join(f"{gib:g} GiB" for gib in self.live.disks.values()) or "no disks"
        return f"delete {self.live.name} (VMID {self.live.vmid} on {self.live.node}, with {disks})"


@dataclass(frozen=True, slots=True)
class DropSeed:
    """A seed ISO that no machine uses any more."""

    node: str
    volume: str
    verb = "drop"

    def __str__(self) -> str:
        return f"delete the left-over seed {self.volume} on {self.node}"


Change = FetchImage | Create | Finish | Start | Differs | Delete | DropSeed


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
