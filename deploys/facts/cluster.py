"""The cluster as one server sees it: its unit, its API and every Node, in one remote command."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from deploys import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = "rzp.io/owned-labels"
TAINTS = "rzp.io/owned-taints"
"""Annotations of a Node: the labels and taints that we set, and so may remove; names joined by commas."""

SCRIPT = f"""
printf 'unit\\t%s\\n' "$(systemctl show -p ActiveState --value k3s.service)"
if [ -x {paths.K3S_BINARY} ]; then
  printf 'readyz\\t%s\\n' "$(timeout 20 {paths.K3S_BINARY} kubectl get --raw /readyz 2>&1 | tail -n 1)"
  printf 'nodes\\n'
  timeout 20 {paths.K3S_BINARY} kubectl get nodes -o json 2>/dev/null || true
fi
"""


@dataclass(frozen=True)
class KubeNode:
    """A Node object, what we compare of it."""

    version: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def owned(self, annotation: str) -> frozenset[str]:
        return frozenset(filter(None, self.annotations.get(annotation, "").split(",")))


@dataclass(frozen=True)
class Cluster:
    """Empty when no API answered."""

    unit: str = ""
    readyz: str = ""
    nodes: Mapping[str, KubeNode] = field(default_factory=dict)

    def missing(self, name: str, *, version: str, address: str, voter: bool) -> str | None:
        """Why the Node is not there as wanted; None when it is."""
        if self.readyz != "ok":
            return f"the API is not ready ({self.readyz or 'no answer'})"
        node = self.nodes.get(name)
        if node is None:
            return f"Node {name} has not registered"
        if node.conditions.get("Ready") != "True":
            return f"Node {name} is not Ready (Ready={node.conditions.get('Ready', 'absent')})"
        if node.version != version:
            return f"Node {name} runs {node.version}, not {version}"
        if address not in node.addresses:
            return f"Node {name} has the addresses {', '.join(sorted(node.addresses))}, not {address}"
        if voter and node.conditions.get("EtcdIsVoter") != "True":
            return (
                f"{name} is no voter of etcd yet (EtcdIsVoter={node.conditions.get('EtcdIsVoter', 'absent')})"
            )
        return None


class ClusterState(FactBase[Cluster]):
    """Asked on a server."""

    of_the_cluster = True

    @override
    def command(self) -> str:
        return SCRIPT

    @override
    @staticmethod
    def default() -> Cluster:
        return Cluster()

    @override
    def process(self, output: list[str]) -> Cluster:
        return parse(output)


def parse(lines: list[str]) -> Cluster:
    values = dict(line.split("\t", 1) for line in lines if line.startswith(("unit\t", "readyz\t")))
    nodes = {item["metadata"]["name"]: _node(item) for item in items(lines, "nodes")}
    return Cluster(values.get("unit", ""), values.get("readyz", ""), nodes)


def items(lines: list[str], heading: str) -> list[Any]:
    """Of the List that kubectl printed below the line `heading`; none if it printed nothing, or not all of it."""
    rest = lines[lines.index(heading) + 1 :] if heading in lines else []
    if rest[:1] != ["{"] or "}" not in rest:
        return []
    return list(json.loads("\n".join(rest[: rest.index("}") + 1]))["items"])


def _node(item: dict[str, Any]) -> KubeNode:
    status, metadata = item.get("status", {}), item["metadata"]
    return KubeNode(
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        conditions={entry["type"]: entry["status"] for entry in status.get("conditions", [])},
        addresses=frozenset(a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"),
        labels=metadata.get("labels", {}),
        taints=frozenset(_taint(taint) for taint in item.get("spec", {}).get("taints", [])),
        annotations=metadata.get("annotations", {}),
    )


def _taint(taint: dict[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"
