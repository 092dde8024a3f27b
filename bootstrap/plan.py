"""Plan: what has to happen so that Proxmox holds the desired machines. A pure `diff`; no input or output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.change import (
    Change,
    Create,
    Delete,
    Differs,
    DropSeed,
    FetchImage,
    Finish,
    Reboot,
    Start,
    Update,
)
from bootstrap.deletion import advice, foreign_disks
from bootstrap.fields import Verdict, field_changes, waiting
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The changes in the order in which they are shown, and what stands in the way of all of them."""

    environment: str
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def applicable(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if not isinstance(change, Differs))

    @property
    def creations(self) -> tuple[Create, ...]:
        return tuple(change for change in self.changes if isinstance(change, Create))

    @property
    def deletions(self) -> tuple[Delete, ...]:
        return tuple(change for change in self.changes if isinstance(change, Delete))

    @property
    def differences(self) -> tuple[Differs, ...]:
        return tuple(change for change in self.changes if isinstance(change, Differs))

    @property
    def left_waiting(self) -> tuple[str, ...]:
        """Names of the machines on which a part of what this plan changes takes effect at the next start only."""
        return tuple(c.machine.name for c in self.changes if isinstance(c, Update) and c.needs_reboot)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON: what is printed, as data."""
        return {
            "environment": self.environment,
            "changes": [_as_dict(change) for change in self.changes],
            "conflicts": list(self.conflicts),
            "notes": list(self.notes),
        }


def diff(
    environment: str,
    machines: Sequence[Machine],
    observed: Observed,
    *,
    image: str,
    image_storage: str,
    reboot: bool = False,
    replacing: Collection[str] = (),
) -> Plan:
    """Compare. `reboot`: what waits for a reboot gets one; `replacing`: names of machines that are deleted and made anew."""
    found = _Found(environment, observed, reboot=reboot)
    by_vmid = {vm.vmid: vm for vm in observed.vms}
    for machine in machines:
        live = by_vmid.get(machine.vmid)
        if live is None:
            found.changes.append(Create(machine))
        elif live.lock == "create" and not live.name and machine.vmid in observed.creating:
            found.changes.append(Finish(machine, live))
        elif proofs := live.missing_proofs(environment, machine.name):
            found.conflicts.append(taken(machine, live, proofs))
        elif machine.name in replacing:
            found.replaced(machine, live)
        else:
            found.existing(machine, live)
    wanted = {machine.vmid for machine in machines}
    for live in observed.vms:
        if live.vmid not in wanted:
            found.surplus(live, None)
    found.changes += _left_over_seeds(machines, observed)
    fetches = _fetches(found.changes, observed, image, image_storage)
    return found.plan(before=fetches)


def destroy(environment: str, observed: Observed, machines: Sequence[Machine] = ()) -> Plan:
    """The plan that deletes every machine of the environment and its seeds; foreign VMs are only named."""
    found = _Found(environment, observed, advise=False)
    by_vmid = {machine.vmid: machine for machine in machines}
    for live in observed.vms:
        found.surplus(live, by_vmid.get(live.vmid))
    found.changes += [DropSeed(node, volume) for node, volume in sorted(observed.seeds)]
    return found.plan()


class _Found:
    """A plan in the making. `advise`: say what has to be done before a node of a cluster goes."""

    def __init__(
        self, environment: str, observed: Observed, *, reboot: bool = False, advise: bool = True
    ) -> None:
        self.environment = environment
        self.observed = observed
        self.reboot = reboot
        self.advise = advise
        self.changes: list[Change] = []
        self.conflicts: list[str] = []
        self.notes: list[str] = []

    def plan(self, *, before: Sequence[Change] = ()) -> Plan:
        return Plan(
            environment=self.environment,
            changes=(*before, *self.changes),
            conflicts=tuple(self.conflicts),
            notes=tuple(self.notes),
        )

    def existing(self, machine: Machine, live: Live) -> None:
        """A machine of ours that is there."""
        if live.lock == "create":
            self.changes.append(Finish(machine, live))
            return
        unfinished = live.seed is not None or has_seed(machine, live, self.observed)
        differing = tuple(field_changes(machine, live))
        if unfinished:  # finishing brings the system disk to its size
            differing = tuple(
                change for change in differing if change.field != f"{machine.disks[0].slot} size"
            )
        update = Update(machine, live, tuple(c for c in differing if c.verdict is not Verdict.REPLACE))
        if update.changes:
            self.changes.append(update)
        if rest := tuple(change for change in differing if change.verdict is Verdict.REPLACE):
            self.changes.append(Differs(machine, rest))
        if unfinished:
            self.changes.append(Finish(machine, live))
        elif not live.running:
            self.changes.append(Start(machine, live))
        if live.running:
            self._reboot(update)
        if live.node != machine.node:
            self.notes.append(
                f"{machine.name} runs on {live.node} (placed on {machine.node}); it stays there"
            )

    def _reboot(self, update: Update) -> None:
        machine, live = update.machine, update.live
        undone = {change.field for change in update.changes}
        due = tuple(change for change in waiting(live) if change.field not in undone)
        due += tuple(change for change in update.changes if change.verdict is Verdict.REBOOT)
        if due and self.reboot:
            self.changes.append(Reboot(machine, live, due))
        elif due and not update.needs_reboot:
            what = "; ".join(map(str, due))
            self.notes.append(
                f"{machine.name} waits for a reboot: {what} (rzp-bootstrap {self.environment} --reboot)"
            )

    def replaced(self, machine: Machine, live: Live) -> None:
        """Deleted, then made anew in its place."""
        self._delete(live, machine)
        if not self.conflicts:
            self.changes.append(Create(machine))

    def surplus(self, live: Live, machine: Machine | None) -> None:
        """A VM that is not wanted: deleted when ours; `machine`: what the environment knows of it."""
        if not (proofs := live.missing_proofs(self.environment, live.name)):
            self._delete(live, machine)
            return
        name = f" {live.name}" if live.name else ""
        self.notes.append(
            f"VMID {live.vmid} on {live.node}{name} is not ours ({'; '.join(proofs)}); it is not touched"
        )

    def _delete(self, live: Live, machine: Machine | None) -> None:
        if foreign := foreign_disks(live, machine):
            self.conflicts += foreign
            return
        self.changes.append(Delete(live))
        self.notes += advice(live, self.environment) if self.advise else []


def _as_dict(change: Change) -> dict[str, Any]:
    fields = [
        {"field": c.field, "old": c.old, "new": c.new, "verdict": c.verdict.value}
        for c in getattr(change, "changes", ())
    ]
    return {"verb": change.verb, "text": str(change)} | ({"fields": fields} if fields else {})


def taken(machine: Machine, live: Live, proofs: list[str]) -> str:
    """The conflict of a machine whose VMID something else holds."""
    if live.lock == "create" and not live.name:
        return (
            f"VMID {machine.vmid} on {live.node} is locked by a creation that is not ours, or that broke off; it was not"
            f" touched. If it broke off, type there: qm unlock {machine.vmid} && qm destroy {machine.vmid}"
        )
    what = (
        f"VM {live.name}"
        if live.kind == "qemu" and live.name
        else ("container" if live.kind == "lxc" else "VM")
    )
    return (
        f"VMID {machine.vmid} on {live.node} is taken by {what} that is not ours ({'; '.join(proofs)});"
        f" it was not touched. Move it away, or give {machine.name} another first_vmid"
    )


def has_seed(machine: Machine, live: Live, observed: Observed) -> bool:
    """Whether its seed still lies where it runs; one on another node is a left-over."""
    return any(
        node == live.node and volume.endswith(f"/{machine.seed_iso}") for node, volume in observed.seeds
    )


def _left_over_seeds(machines: Sequence[Machine], observed: Observed) -> list[Change]:
    nodes = {vm.vmid: vm.node for vm in observed.vms}
    wanted = {(nodes.get(machine.vmid, machine.node), machine.seed_iso) for machine in machines}
    attached = {(vm.node, vm.seed) for vm in observed.vms}
    if observed.shared:  # every node shows the same files
        wanted = {(node, name) for _, name in wanted for node in {node for node, _ in observed.seeds}}
        attached = {(node, volume) for _, volume in attached for node in {node for node, _ in observed.seeds}}
    return [
        DropSeed(node, volume)
        for node, volume in sorted(observed.seeds)
        if (node, volume) not in attached and (node, volume.rsplit("/", 1)[-1]) not in wanted
    ]


def _fetches(changes: list[Change], observed: Observed, image: str, storage: str) -> list[FetchImage]:
    nodes = sorted({c.machine.node for c in changes if isinstance(c, Create)} - observed.images)
    if observed.shared:
        nodes = [] if observed.images else nodes[:1]
    return [FetchImage(node, storage, image) for node in nodes]
