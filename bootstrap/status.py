"""What is there after a run: every machine of the environment with its power, address and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.comparison import has_seed
from bootstrap.fields import field_changes, waiting
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One machine; `state` is running, stopped, missing, unfinished, unknown or foreign."""

    name: str
    role: str
    vmid: int
    node: str
    address: str
    state: str
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def rows(environment: str, machines: Sequence[Machine], observed: Observed) -> list[Row]:
    """The desired machines in their order, each with what Proxmox says of it."""
    by_vmid = {vm.vmid: vm for vm in observed.vms}
    return [_row(environment, machine, by_vmid.get(machine.vmid), observed) for machine in machines]


def _row(environment: str, machine: Machine, live: Live | None, observed: Observed) -> Row:
    state, detail = "missing", ""
    if machine.vmid in observed.away:
        state, detail = "unknown", f"node {observed.away[machine.vmid]} is not reached"
    elif live is not None:
        proofs = live.missing_proofs(environment, machine.name)
        if live.lock == "create" and machine.vmid in observed.creating:
            state, detail = "unfinished", "is being created"
        elif proofs:
            state, detail = "foreign", "; ".join(proofs)
        elif live.own_seed is not None or has_seed(machine, live, observed):
            state, detail = "unfinished", "its seed is still there; run up again"
        else:
            state = "running" if live.running else "stopped"
            due = [f"{change} waits for a reboot" for change in waiting(live)]
            detail = "; ".join([*map(str, field_changes(machine, live)), *due])
    return Row(
        name=machine.name,
        role=machine.role,
        vmid=machine.vmid,
        node=live.node if live else observed.away.get(machine.vmid, machine.node),
        address=machine.address,
        state=state,
        detail=detail,
    )
