"""What is there after a run: the machines with their power and what differs, and what the cluster says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bootstrap.comparison import has_seed
from bootstrap.errors import KubernetesError
from bootstrap.fields import field_changes, waiting
from bootstrap.kubernetes import applications, nodes
from bootstrap.kubernetes.api import Api
from bootstrap.kubernetes.applications import Application
from bootstrap.kubernetes.nodes import Node
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


@dataclass(kw_only=True)
class Status:
    """The whole of it. `nodes` and `applications` are None where they could not be asked: `problems` says what went wrong,
    `notes` what is just not there yet. `left_out`: the components without a pin, a sentence each."""

    machines: list[Row]
    nodes: list[Node] | None = None
    applications: list[Application] | None = None
    left_out: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def servers_off(self) -> bool:
        """Proxmox says of every server that it is not there or stopped."""
        return all(row.state in ("missing", "stopped") for row in self.machines if row.role == "server")

    def ask(self, api: Api, version: str | None) -> None:
        """Nodes, then applications; what was read before a failure stays. `version`: K3s' pin."""
        wanted = {row.name: row.role for row in self.machines if row.role != "machine"}
        try:
            self.nodes = nodes.read(api, wanted, version)
            self.applications = applications.read(api)
            if self.applications is None:
                self.notes.append("Argo CD is not installed yet; the deploy ends with it")
        except KubernetesError as error:
            self.problems.append(str(error))

    def as_dict(self) -> dict[str, Any]:
        return {
            "machines": [row.as_dict() for row in self.machines],
            "nodes": None if self.nodes is None else [node.as_dict() for node in self.nodes],
            "applications": None if self.applications is None else [a.as_dict() for a in self.applications],
            "left_out": list(self.left_out),
            "notes": self.notes,
            "problems": self.problems,
        }


def rows(environment: str, machines: Sequence[Machine], observed: Observed) -> list[Row]:
    """The desired machines in their order, each with what Proxmox says of it."""
    by_vmid = {vm.vmid: vm for vm in observed.vms}
    return [_row(environment, machine, by_vmid.get(machine.vmid), observed) for machine in machines]


def unknown(machines: Sequence[Machine]) -> list[Row]:
    """The desired machines, of which Proxmox says nothing."""
    return [
        Row(name=m.name, role=m.role, vmid=m.vmid, node=m.node, address=m.address, state="unknown")
        for m in machines
    ]


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
