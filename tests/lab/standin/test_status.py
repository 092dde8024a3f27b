"""What is computed when an object is read: readiness that ages, workloads that come up."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bootstrap.lab.standin.k3s.status import shown


def record(kind: str, *, age: float, **body: Any) -> dict[str, Any]:
    when = time.time() - age
    return {
        "object": {"kind": kind, "metadata": {"generation": 1}, "spec": {}, "status": {}, **body},
        "created": when,
        "changed": when,
    }


@pytest.mark.parametrize(("silence", "ready"), [(1.0, "True"), (19.0, "True"), (21.0, "Unknown")])
def test_a_node_without_heartbeats_stops_being_ready(silence: float, ready: str) -> None:
    node = shown(record("Node", age=600), time.time() - silence, None)
    condition = node["status"]["conditions"][0]

    assert (condition["type"], condition["status"]) == ("Ready", ready)
    assert ("taints" in node["spec"]) == (ready != "True")


@pytest.mark.parametrize(("age", "available"), [(0.1, 0), (5.0, 3)])
def test_a_workload_is_available_a_moment_after_its_change(age: float, available: int) -> None:
    deployment = shown(record("Deployment", age=age, spec={"replicas": 3}), 0, None)

    assert deployment["status"]["availableReplicas"] == available


@pytest.mark.parametrize(("learner", "voter"), [(True, "False"), (False, "True")])
def test_a_learner_is_no_voter(*, learner: bool, voter: str) -> None:
    node = shown(record("Node", age=1), time.time(), {"node": "x", "learner": learner})

    assert node["status"]["conditions"][1]["type"] == "EtcdIsVoter"
    assert node["status"]["conditions"][1]["status"] == voter


def application(name: str) -> dict[str, Any]:
    spec = {
        "source": {"targetRevision": "main"},
        "destination": {"namespace": "argocd"},
        "project": "default",
    }
    return shown(record("Application", age=0, metadata={"name": name}, spec=spec), time.time(), None)


def test_root_alone_is_synced_and_healthy_and_says_that_nothing_was_synced() -> None:
    status = application("root")["status"]

    assert (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy")
    compared = {"source": {"targetRevision": "main"}, "destination": {"namespace": "argocd"}}
    assert status["sync"]["comparedTo"] == compared
    assert "nothing was synced" in status["conditions"][0]["message"]
    assert application("another")["status"] == {}
