"""All operations together: nothing on a converged cluster, and what is remembered for how long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import PyinfraCommand

from bootstrap.secrets import Secret
from deploys import kubeconfig, system
from deploys.facts.cluster import ClusterState
from deploys.facts.memo import recall
from deploys.operations import argocd, cluster, disks, k3s, node
from deploys.settings import Settings

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


def _steps(settings: Settings, token: Secret, name: str, tmp_path: Path) -> list[tuple[Any, dict[str, Any]]]:
    """Every operation of deploys/k3s.py for one host, in its order."""
    me = settings.nodes[name]
    target = tmp_path / "kubeconfig"
    steps: list[tuple[Any, dict[str, Any]]] = [
        (node.first_boot, {}),
        (node.packages, {"names": system.node_packages(settings)}),
        (node.guest_agent, {}),
        (disks.root_grown, {}),
        (node.modules, {}),
        (node.sysctls, {}),
        (node.swap_off, {}),
        (node.iscsid, {}),
        *((disks.mounted, {"disk": disk}) for disk in me.data_disks),
        *((disks.grown, {"disk": disk}) for disk in me.data_disks),
        (k3s.binary, {}),
        (k3s.server if me.role == "server" else k3s.agent, {"token": token}),
        *([(k3s.rejoining, {"token": token})] if me.role == "server" else []),
    ]
    if name == settings.first_server:
        steps += [
            (cluster.ready, {}),
            (cluster.labels_and_taints, {}),
            (cluster.kubeconfig, {"target": target}),
        ]
        steps += [(argocd.revision_exists, {}), (argocd.installed, {}), (argocd.repository_credential, {})]
        steps += [(argocd.operator_secret, {}), (argocd.handed_over, {}), (argocd.followed, {})]
    return steps


@pytest.mark.parametrize("executing", [False, True], ids=["planning", "executing"])
def test_on_a_converged_cluster_every_operation_says_why_it_does_nothing(
    machines: Machines,
    settings: Settings,
    password: Secret,
    carry_out: Carry,
    tmp_path: Path,
    executing: bool,
    admin: str,
) -> None:
    machines["s1"].state.is_executing = executing
    kubeconfig.write(tmp_path / "kubeconfig", settings, admin)
    for name, machine in machines.items():
        steps = _steps(settings, password, name, tmp_path)
        for operation, arguments in steps:
            assert carry_out(machine, operation, settings=settings, **arguments) == [], operation
        assert len(machine.noops) == len(steps)
    asked = {name: machine.asked for name, machine in machines.items()}
    assert asked.pop("s1") == ["NodeState", "ClusterState", "ArgoCDState"]
    assert all(facts == ["NodeState"] for facts in asked.values())


def test_what_was_known_is_forgotten_after_a_change_and_between_the_phases(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["a1"]
    machine.change(modules=frozenset())
    machine.state.is_executing = False
    assert len(carry_out(machine, node.modules, settings=settings)) == 1
    assert len(carry_out(machine, node.sysctls, settings=settings)) == 0
    assert machine.asked == ["NodeState"]
    machine.state.is_executing = True
    loaded = carry_out(machine, node.modules, settings=settings)
    assert len(loaded) == len(system.modules(settings))
    carry_out(machine, node.sysctls, settings=settings)
    assert machine.asked == ["NodeState"] * 3


def test_a_peers_state_is_the_same_for_all_who_ask(machines: Machines, settings: Settings) -> None:
    first = node.state_of(settings, machines["s1"])
    assert node.state_of(settings, machines["s1"]) is first
    assert recall(machines["s1"], ClusterState) is recall(machines["s1"], ClusterState)
