"""The outputs of an environment: masterIps, workerIps, allNodes and kubeconfig as the old stack named them, and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.cluster import K3sCluster
from bootstrap.machine import Machine


def outputs(cluster: K3sCluster, project: Path) -> dict[str, Any]:
    """Pure facts of the environment; `kubeconfig` is a path, there or not."""
    environment = cluster.environment
    return {
        "environment": environment.name,
        "masterIps": [machine.address for machine in cluster.servers],
        "workerIps": [machine.address for machine in cluster.agents],
        "allNodes": [_node(machine) for machine in cluster.machines],
        "kubeconfig": str(project / "inventories" / f"{environment.name}.kubeconfig"),
        "context": f"rzp-{environment.name}",
        "inventory": str(project / "inventories" / f"{environment.name}.py"),
        "apiEndpoint": api_endpoints(cluster)[0],
        "k3sVersion": environment.k3s.pin.version,
        "argocdVersion": environment.gitops.argocd.version,
        "repository": environment.gitops.repository,
        "revision": environment.gitops.revision,
    }


def api_endpoints(cluster: K3sCluster) -> list[str]:
    """Where the Kubernetes API answers: at every server."""
    return [f"https://{machine.address}:6443" for machine in cluster.servers]


def _node(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "role": machine.role,
        "vmid": machine.vmid,
        "node": machine.node,
        "uuid": str(machine.uuid),
        "mac": machine.mac,
        "addresses": [str(address.ip) for address in machine.addresses],
    }
