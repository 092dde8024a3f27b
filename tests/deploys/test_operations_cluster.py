"""The operations on the cluster as a whole."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra.api.command import PyinfraCommand

from deploys import kubeconfig
from deploys.facts.cluster import ClusterState, parse
from deploys.operations import cluster
from deploys.settings import Settings

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


def _seen(machine: Any, change: Callable[[list[str]], list[str]], lines: list[str]) -> None:
    machine.answers[ClusterState] = lambda: parse(change(lines))


def test_a_cluster_that_is_not_complete_is_waited_for_and_the_lack_is_said(
    machines: Machines, settings: Settings, carry_out: Carry, lines_of: Any
) -> None:
    machine = machines["s1"]
    lines = lines_of["cluster"](settings)
    _seen(machine, lambda lines: [line.replace('"name": "a1"', '"name": "x"') for line in lines], lines)
    carry_out(machine, cluster.ready, settings=settings)
    assert machine.logs[-1] == "the cluster: not within 0 s; Node a1 has not registered"


def test_labels_and_taints_follow_the_environment_and_foreign_ones_stay(
    machines: Machines, rzp: dict[str, Any], carry_out: Carry, texts: Texts
) -> None:
    rzp["nodes"]["a1"] |= {"labels": {"disk": "small"}, "taints": []}
    rzp["nodes"]["s1"] |= {"labels": {"role": "main"}, "taints": ["main=:NoExecute"]}
    text = texts(carry_out(machines["s1"], cluster.labels_and_taints, settings=Settings.parse(rzp)))
    for words in (
        "label node s1 --overwrite role=main",
        "taint node s1 --overwrite main=:NoExecute",
        "label node a1 --overwrite disk=small",
        "taint node a1 --overwrite only:NoSchedule-",
        "annotate node a1 --overwrite rzp.io/owned-taints=",
    ):
        assert words in text
    assert "disk-" not in text
    assert "s2" not in text


def test_the_kubeconfig_is_fetched_into_a_private_file(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path, admin: str
) -> None:
    machine, target = machines["s1"], tmp_path / "kubeconfig"
    machine.replies = {"base64 -w0": [base64.b64encode(admin.encode()).decode()]}
    carry_out(machine, cluster.kubeconfig, settings=settings, target=target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert kubeconfig.is_current(target, settings, hashlib.sha256(admin.encode()).hexdigest())
