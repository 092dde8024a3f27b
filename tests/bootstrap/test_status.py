"""What status says of a cluster: asked of the K3s stand-in over TLS, and of answers that a good day does not give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap import status
from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.kubernetes.api import Api
from bootstrap.kubernetes.applications import application
from bootstrap.kubernetes.kubeconfig import Kubeconfig
from bootstrap.kubernetes.nodes import rows
from bootstrap.status import Row, Status
from tests.lab.standin.conftest import binary, lone, machine, until

__all__ = ["binary", "lone", "machine"]

VERSION = "v1.36.4+k3s1"
ARGOCD = Path(status.__file__).parent / "lab/standin/argocd.yaml"
CONDITION = {"type": "ComparisonError", "message": "rpc error: code = Unknown desc = repository\n  not found"}


def row(name: str, role: str = "server", state: str = "running") -> Row:
    return Row(name=name, role=role, vmid=920, node="pve1", address="192.0.2.20", state=state)


def asked(lone: Any, version: str = VERSION, **more: Any) -> Status:
    """Status of the stand-in's cluster, through the kubeconfig that it wrote."""
    found = Status(machines=[row("lone")], **more)
    found.ask(Api(Kubeconfig.read(lone.root / "etc/rancher/k3s/k3s.yaml")), version)
    return found


@pytest.fixture
def with_argocd(lone: Any) -> Any:
    """The stand-in's server with Argo CD's kinds, and what a test puts there."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}
    lone.apply(space)
    said = lone.kubectl("apply", "--server-side", "--force-conflicts", "-n", "argocd", "-f", str(ARGOCD))
    assert said.returncode == 0, said.stderr
    until(lambda: asked(lone).applications is not None, lambda: said.stdout)
    return lone


def an_application(name: str, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"project": "core"},
        **({"status": status} if status else {}),
    }


def test_a_cluster_without_argo_cd_shows_its_nodes_and_says_so(machine: Any) -> None:
    server = machine("lone", cluster_init=True)
    server.start()

    version = server.json("node", "lone")["status"]["nodeInfo"]["kubeletVersion"]

    found = asked(server, version, left_out=("core/longhorn: no sha256",)).as_dict()

    assert found["nodes"] == [
        {"name": "lone", "role": "server", "state": "Ready", "version": version, "pinned": True, "detail": ""}
    ]
    assert found["applications"] is None
    assert found["notes"] == ["Argo CD is not installed yet; the deploy ends with it"]
    assert found["problems"] == []
    assert found["left_out"] == ["core/longhorn: no sha256"]
    json.dumps(found)


def test_applications_are_shown_with_sync_health_and_reason(with_argocd: Any) -> None:
    well = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
    ill = {"sync": {"status": "Unknown"}, "health": {"status": "Healthy"}, "conditions": [CONDITION]}
    said = with_argocd.apply(
        an_application("zeta", **well), an_application("alpha", **ill), an_application("new")
    )
    assert said.count("serverside-applied") == 3

    found = asked(with_argocd)

    assert [(a.name, a.project, a.sync, a.health, a.detail) for a in found.applications or []] == [
        (
            "alpha",
            "core",
            "Unknown",
            "Healthy",
            "rpc error: code = Unknown desc = repository not found",
        ),
        ("new", "core", "Unknown", "Unknown", "Argo CD has not looked at it yet"),
        ("zeta", "core", "Synced", "Healthy", ""),
    ]
    assert (found.notes, found.problems) == ([], [])


WELL = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
SYNCED = {"phase": "Succeeded", "message": "successfully synced (all tasks run)"}
RUNNING = {"phase": "Running", "message": "waiting for healthy state of apps/Deployment/whoami"}
LOOK = "kubectl -n web get pods,events"
WARNING = {"type": "OrphanedResourceWarning", "message": "2 orphaned resources"}


@pytest.mark.parametrize(
    ("given", "sync", "health", "detail"),
    [
        (WELL | {"operationState": SYNCED}, "Synced", "Healthy", ""),
        (WELL | {"conditions": [WARNING]}, "Synced", "Healthy", "2 orphaned resources"),
        (WELL | {"operationState": RUNNING}, "Synced", "Healthy", RUNNING["message"]),
        (WELL | {"health": {"status": "Missing"}, "operationState": SYNCED}, "Synced", "Missing", LOOK),
        ({"conditions": [WARNING, CONDITION]}, "Unknown", "Unknown", " ".join(CONDITION["message"].split())),
        (
            WELL | {"health": {"status": "Degraded", "message": "no\nreplicas"}},
            "Synced",
            "Degraded",
            "no replicas",
        ),
        (
            WELL
            | {
                "sync": {"status": "OutOfSync"},
                "operationState": SYNCED,
                "resources": [
                    {"kind": "Namespace", "name": "whoami", "status": "Synced"},
                    {"kind": "Deployment", "name": "whoami", "status": "OutOfSync"},
                ],
            },
            "OutOfSync",
            "Healthy",
            "Deployment whoami is OutOfSync",
        ),
        (
            {"sync": None, "health": None, "operationState": None, "conditions": None},
            "Unknown",
            "Unknown",
            LOOK,
        ),
        (
            # as Argo CD 3.5.1 answers while it tries again
            {
                "sync": {"status": "OutOfSync"},
                "health": {"status": "Missing"},
                "operationState": {"phase": "Running", "finishedAt": "x", "message": "no CRD. Retrying"},
                "resources": [{"kind": "IPAddressPool", "name": "pool", "status": "OutOfSync"}],
            },
            "OutOfSync",
            "Missing",
            "no CRD. Retrying",
        ),
        ({}, "Unknown", "Unknown", "Argo CD has not looked at it yet"),
    ],
)
def test_the_reason_is_the_error_the_running_sync_or_the_first_difference(
    given: dict[str, Any], sync: str, health: str, detail: str
) -> None:
    found = application(
        {"metadata": {"name": "whoami"}, "spec": {"destination": {"namespace": "web"}}, "status": given}
    )

    assert (found.sync, found.health, found.detail) == (sync, health, detail)


def a_node(name: str, ready: str, **more: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "message": "Kubelet stopped posting node status."}
    return {
        "metadata": {"name": name, "labels": {}},
        "status": {"conditions": [condition], "nodeInfo": {"kubeletVersion": VERSION}},
        **more,
    }


def test_nodes_that_are_not_as_wanted_say_why() -> None:
    items = [
        a_node("stranger", "True"),
        a_node("a1", "Unknown"),
        a_node("a2", "True", spec={"unschedulable": True}),
        {"metadata": {"name": "a3"}},
    ]

    found = rows(items, dict.fromkeys(["a1", "a2", "a3", "a4"], "agent"), "v9.9.9+k3s1")

    assert [(node.name, node.state, node.pinned) for node in found] == [
        ("a1", "Unknown", False),
        ("a2", "Ready", False),
        ("a3", "Unknown", False),
        ("a4", "missing", False),
        ("stranger", "Ready", False),
    ]
    assert [node.detail for node in found] == [
        "Kubelet stopped posting node status.; v9.9.9+k3s1 is pinned",
        "v9.9.9+k3s1 is pinned; takes no new pods (cordoned)",
        "reports no condition; v9.9.9+k3s1 is pinned",
        "has not registered",
        "v9.9.9+k3s1 is pinned; is no node of the environment",
    ]


@pytest.mark.parametrize(
    ("states", "off"),
    [
        (["missing", "stopped"], True),
        (["stopped", "running"], False),
        (["unknown", "missing"], False),
        (["unfinished"], False),
    ],
)
def test_the_api_is_not_asked_when_every_server_is_known_to_be_off(states: list[str], *, off: bool) -> None:
    machines = [row(f"s{index}", state=state) for index, state in enumerate(states)]

    assert Status(machines=[*machines, row("a1", "agent", "running")]).servers_off is off


def test_machines_of_which_proxmox_says_nothing_are_unknown(staging: Environment) -> None:
    machines = K3sCluster(staging).machines

    found = status.unknown(machines)

    assert [(row.name, row.state) for row in found] == [(machine.name, "unknown") for machine in machines]
