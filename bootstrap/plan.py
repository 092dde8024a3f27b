"""Plan: what has to happen so that Proxmox holds the desired machines. A pure `diff`; no input or output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.change import Change, Create, Delete, Differs, DropSeed, FetchImage, Update
from bootstrap.comparison import Comparison
from bootstrap.live import Observed
from bootstrap.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The changes in the order in which they are shown, what stands in the way of all of them, and what could not be seen."""

    environment: str
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()

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
            "unjudged": list(self.unjudged),
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
    compared = Comparison(environment, observed, reboot=reboot)
    by_vmid = {vm.vmid: vm for vm in observed.vms}
    for machine in machines:
        compared.judge(machine, by_vmid.get(machine.vmid), replace=machine.name in replacing)
    wanted = {machine.vmid for machine in machines}
    for live in observed.vms:
        if live.vmid not in wanted:
            compared.surplus(live, None)
    for vmid, node in observed.away.items():
        if vmid not in wanted:
            compared.unseen("a VM", vmid, node)
    compared.changes += _left_over_seeds(machines, observed)
    servers = [machine.name for machine in machines if machine.role == "server" and machine.name in replacing]
    if len(servers) > 1:
        compared.conflicts.append(
            f"{' and '.join(servers)} cannot be replaced at once: the cluster would lose its majority; name one, and the next"
            " when the first has joined again"
        )
    return _plan(compared, before=_fetches(compared.changes, observed, image, image_storage))


def destroy(environment: str, observed: Observed, machines: Sequence[Machine] = ()) -> Plan:
    """The plan that deletes every machine of the environment and its seeds; foreign VMs are only named."""
    compared = Comparison(environment, observed, advise=False)
    by_vmid = {machine.vmid: machine for machine in machines}
    for live in observed.vms:
        compared.surplus(live, by_vmid.get(live.vmid))
    for vmid, node in observed.away.items():
        compared.unseen(by_vmid[vmid].name if vmid in by_vmid else "a VM", vmid, node)
    compared.changes += [DropSeed(node, volume) for node, volume in sorted(observed.seeds)]
    return _plan(compared)


def _plan(compared: Comparison, *, before: Sequence[Change] = ()) -> Plan:
    return Plan(
        environment=compared.environment,
        changes=(*before, *compared.changes),
        conflicts=tuple(compared.conflicts),
        notes=tuple(compared.notes),
        unjudged=tuple(compared.unjudged),
    )


def _as_dict(change: Change) -> dict[str, Any]:
    fields = [
        {"field": c.field, "old": c.old, "new": c.new, "verdict": c.verdict.value}
        for c in getattr(change, "changes", ())
    ]
    return {"verb": change.verb, "text": str(change)} | ({"fields": fields} if fields else {})


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
