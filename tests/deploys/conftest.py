"""An environment of the deploys, its machines, and what it takes to run an operation on one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.context import ctx_host

from bootstrap.secrets import Secret
from deploys import paths
from deploys.facts import argocd, cluster
from deploys.facts.argocd import ArgoCD, ArgoCDState
from deploys.facts.cluster import Cluster, ClusterState
from deploys.facts.node import Node, NodeState, parse
from deploys.settings import Settings
from tests.deploys import converged
from tests.deploys.converged import ADMIN, PASSWORD
from tests.deploys.machine import Answers, Machine, Machines, Run

DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi2"


@pytest.fixture(autouse=True)
def _in_the_project(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyinfra runs in the project's folder."""
    monkeypatch.chdir(checkout)


@pytest.fixture
def password() -> Secret:
    return Secret(PASSWORD)


@pytest.fixture
def admin() -> str:
    """A server's own kubeconfig."""
    return ADMIN


@pytest.fixture
def rzp() -> dict[str, Any]:
    def node(role: str, host: int, **more: Any) -> dict[str, Any]:
        addresses = [f"192.0.2.{host}", f"2001:db8::{host}"]
        return {
            "role": role,
            "pool": role,
            "addresses": addresses,
            "labels": {},
            "taints": [],
            "data_disks": [],
        } | more

    disk = {"device": DISK, "mount": "/var/lib/longhorn", "filesystem": "ext4"}
    return {
        "environment": "test",
        "nodes": {
            "s1": node("server", 20),
            "s2": node("server", 21),
            "s3": node("server", 22),
            "a1": node(
                "agent", 30, data_disks=[disk], labels={"disk": "big"}, taints=["only=storage:NoSchedule"]
            ),
        },
        "k3s": {
            "version": "v1.36.4+k3s1",
            "url": "https://releases.example/v1.36.4%2Bk3s1/k3s",
            "sha256": "8" * 64,
            "disable": ["traefik", "servicelb"],
            "cluster_cidr": ["10.42.0.0/16", "fd42::/56"],
            "service_cidr": ["10.43.0.0/16", "fd43::/112"],
            "tls_san": [],
            "settings": {},
        },
        "argocd": {"version": "v3.5.1", "url": "https://raw.example/v3.5.1/install.yaml", "sha256": "7" * 64},
        "gitops": {
            "repository": "https://git.example/rzp-infra.git",
            "revision": "main",
            "path": "kubernetes/clusters/test",
            "credential": False,
        },
        "kubeconfig": "inventories/test.kubeconfig",
        "context": "rzp-test",
        "components": ["cert-manager", "longhorn-system"],
    }


@pytest.fixture
def settings(rzp: dict[str, Any]) -> Settings:
    return Settings.parse(rzp)


@pytest.fixture
def dumpe2fs() -> Callable[..., str]:
    """An ext4 of so many blocks, as the gathering script sends it."""
    return converged.dumpe2fs


@pytest.fixture
def system_disk() -> Callable[..., str]:
    """The gathering script's line about a system disk."""
    return converged.system_disk


@pytest.fixture
def machines(settings: Settings) -> Machines:
    """Every node of the environment, converged; a test changes what it is about."""
    run, found = Run(), Machines()
    for name in settings.nodes:
        answers: Answers = {
            NodeState: lambda name=name: parse(converged.node_lines(settings, name)),  # type: ignore[misc]
            ClusterState: lambda: cluster.parse(converged.cluster_lines(settings)),
            ArgoCDState: lambda: argocd.parse(converged.argocd_lines(settings)),
        }
        found[name] = Machine(name, run, answers, found)
    return found


def empty_machine() -> Node:
    """Right after its first boot."""
    return parse(["cloud-init", converged.answer(paths.CLOUD_INIT_RESULT, 0o644, "text", "e30="), "end"])


@pytest.fixture
def fresh(machines: Machines) -> Machines:
    """The same machines right after their first boot."""
    for machine in machines.values():
        machine.answers = {NodeState: empty_machine, ClusterState: Cluster, ArgoCDState: ArgoCD}
    return machines


Carry = Callable[..., list[PyinfraCommand]]


def _fails(command: FunctionCommand, machine: Any) -> bool:
    return command.execute(machine.state, machine, {}) is False


@pytest.fixture
def carry_out() -> Carry:
    """Run an operation on a machine as pyinfra does: to the end, or to the first failure. It waits for one look."""

    def run(machine: Machine, operation: Any, **arguments: Any) -> list[PyinfraCommand]:
        done: list[PyinfraCommand] = []
        if "seconds" in inspect.signature(operation._inner).parameters:
            arguments.setdefault("seconds", 0)
        with ctx_host.use(machine):
            for command in operation._inner(**arguments):
                done.append(command)
                if not machine.state.is_executing:
                    break
                if isinstance(command, FunctionCommand) and _fails(command, machine):
                    break
        return done

    return run


@pytest.fixture
def texts() -> Callable[[list[PyinfraCommand]], str]:
    """What pyinfra would show of the commands."""
    return lambda commands: "\n".join(str(command) for command in commands)


@pytest.fixture
def lines_of() -> dict[str, Any]:
    """The converged hosts' answers as text, for a run through pyinfra itself."""
    return {
        "node": converged.node_lines,
        "cluster": converged.cluster_lines,
        "argocd": converged.argocd_lines,
    }
