"""Plan: what has to happen so that Proxmox holds the desired machines. A pure `diff`; no input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.change import Change, Create, Delete, Differs, DropSeed, FetchImage, FieldChange, Finish, Start
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

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON: what is printed, as data."""
        return {
            "environment": self.environment,
            "changes": [{"verb": change.verb, "text": str(change)} for change in self.changes],
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
) -> Plan:
    """Compare."""
    by_vmid = {vm.vmid: vm for vm in observed.vms}
    changes: list[Change] = []
    conflicts: list[str] = []
    for machine in machines:
        live = by_vmid.get(machine.vmid)
        if live is None:
            changes.append(Create(machine))
        elif live.lock == "create" and not live.name and machine.vmid in observed.creating:
            changes.append(Finish(machine, live))
        elif proofs := live.missing_proofs(environment, machine.name):
            conflicts.append(taken(machine, live, proofs))
        else:
            changes += _existing(machine, live, observed)
    wanted = {machine.vmid for machine in machines}
    notes: list[str] = []
    for live in observed.vms:
        if live.vmid not in wanted:
            deletion, note = _surplus(environment, live)
            changes += deletion
            notes += note
    changes += _left_over_seeds(machines, observed)
    fetches = _fetches(changes, observed, image, image_storage)
    return Plan(
        environment=environment, changes=(*fetches, *changes), conflicts=tuple(conflicts), notes=tuple(notes)
    )


def destroy(environment: str, observed: Observed) -> Plan:
    """The plan that deletes every machine of the environment and its seeds; foreign VMs are only named."""
    changes: list[Change] = []
    notes: list[str] = []
    for live in observed.vms:
        deletion, note = _surplus(environment, live)
        changes += deletion
        notes += note
    drops = [DropSeed(node, volume) for node, volume in sorted(observed.seeds)]
    return Plan(environment=environment, changes=(*changes, *drops), notes=tuple(notes))


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


def _existing(machine: Machine, live: Live, observed: Observed) -> list[Change]:
    if live.seed is not None or has_seed(machine, live, observed) or live.lock == "create":
        return [Finish(machine, live)]
    found: list[Change] = []
    changes = tuple(field_changes(machine, live))
    if changes:
        found.append(Differs(machine, changes))
    if not live.running:
        found.append(Start(machine, live))
    return found


def field_changes(machine: Machine, live: Live) -> Iterable[FieldChange]:
    """Every managed field that differs. Further tags, disks and keys are the operator's own."""
    for name, new in managed_fields(machine).items():
        old = live.fields.get(name)
        if old != new:
            yield FieldChange(name, old, new)
    for disk in machine.disks:
        size = live.disks.get(disk.slot)
        if size != disk.gib:
            yield FieldChange(
                f"{disk.slot} size", None if size is None else f"{size:g} GiB", f"{disk.gib} GiB"
            )
    if machine.role not in live.tags:
        yield FieldChange("tags", ";".join(sorted(live.tags)), ";".join(machine.tags))
    if live.node != machine.node:
        yield FieldChange("node", live.node, machine.node)


def managed_fields(machine: Machine) -> dict[str, Any]:
    """The fields beside disks and tags, as plain values; proxmox/machines.py reads the same names."""
    return {
        "cores": machine.cores,
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
    }


def _surplus(environment: str, live: Live) -> tuple[list[Change], list[str]]:
    proofs = live.missing_proofs(environment, live.name)
    if not proofs:
        return [Delete(live)], []
    name = f" {live.name}" if live.name else ""
    return [], [f"VMID {live.vmid} on {live.node}{name} is not ours ({'; '.join(proofs)}); it is not touched"]


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
