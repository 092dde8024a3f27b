"""A change is a value that describes itself: the plan that is printed, its JSON and a test's expectation are one object."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.fields import FieldChange, Verdict
from bootstrap.live import Live
from bootstrap.machine import Machine

ONLY_BY_REPLACEMENT = Verdict.REPLACE.value


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
class Update:
    """A machine whose fields are brought to what the environment asks for; what PVE keeps pending waits for a reboot."""

    machine: Machine
    live: Live
    changes: tuple[FieldChange, ...]
    verb = "change"

    @property
    def needs_reboot(self) -> bool:
        return self.live.running and any(change.verdict is Verdict.REBOOT for change in self.changes)

    def __str__(self) -> str:
        return f"change {self.machine.name} (VMID {self.machine.vmid}): {'; '.join(map(self._told, self.changes))}"

    def _told(self, change: FieldChange) -> str:
        if change.is_disk and change.old is not None:
            return f"{change} (its file system grows with the next deploy)"
        return (
            f"{change} (after a reboot)"
            if self.live.running and change.verdict is Verdict.REBOOT
            else str(change)
        )


@dataclass(frozen=True, slots=True)
class Reboot:
    """A machine that is shut down and started, so that what waits for it takes effect. One machine at a time."""

    machine: Machine
    live: Live
    changes: tuple[FieldChange, ...]
    verb = "reboot"

    def __str__(self) -> str:
        return (
            f"reboot {self.machine.name} (VMID {self.machine.vmid}) for {'; '.join(map(str, self.changes))}"
        )


@dataclass(frozen=True, slots=True)
class Differs:
    """A machine that differs in what only a replacement can put right; it is shown and not touched."""

    machine: Machine
    changes: tuple[FieldChange, ...]
    verb = "differs"

    def __str__(self) -> str:
        return (
            f"{self.machine.name} (VMID {self.machine.vmid}) differs, {ONLY_BY_REPLACEMENT}: {'; '.join(map(str, self.changes))}"
            f" ({'raise it in the environment, or ' if self.changes[0].is_disk else ''}--replace {self.machine.name})"
        )


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


Change = FetchImage | Create | Finish | Start | Update | Reboot | Differs | Delete | DropSeed
