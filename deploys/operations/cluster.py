"""The cluster as a whole, from one server: every Node ready, labels and taints, the kubeconfig for the control side."""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING

from pyinfra.api.command import FunctionCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import kubeconfig as kubeconfigs
from deploys import longhorn, paths
from deploys.facts.cluster import LABELS, TAINTS, Cluster, ClusterState, KubeNode
from deploys.facts.memo import changing, forget, recall
from deploys.operations.node import state_of
from deploys.running import Commands, limited, remote, wait

if TYPE_CHECKING:
    from pathlib import Path

    from pyinfra.api.host import Host
    from pyinfra.api.state import State

    from deploys.settings import Node, Settings

READY_SECONDS = 300


@operation()
def ready(settings: Settings, seconds: float = READY_SECONDS) -> Commands:
    """Every node of the environment is Ready in the wanted version, every server votes."""

    def look() -> str | None:
        forget(host)
        return _missing(settings, recall(host, ClusterState))

    missing = _missing(settings, recall(host, ClusterState))
    if missing is not None:
        yield from wait(host, "the cluster", seconds, look)
    host.noop(f"{len(settings.nodes)} nodes are Ready" if missing is None else f"the run waits: {missing}")


def _missing(settings: Settings, seen: Cluster) -> str | None:
    for name, node in settings.nodes.items():
        address, voter = str(settings.node_ips(name)[0]), node.role == "server"
        if missing := seen.missing(name, version=settings.k3s.version, address=address, voter=voter):
            return missing
    return None


@operation()
def labels_and_taints(settings: Settings) -> Commands:
    """Labels and taints are as the environment says. Only those that we set once, by our annotation, are removed."""
    seen = recall(host, ClusterState).nodes
    scripts = [
        script
        for name, node in settings.nodes.items()
        for script in _reconciliation(name, longhorn.labelled(settings, node), seen.get(name, KubeNode()))
    ]
    if not scripts:
        host.noop("labels and taints are as wanted")
        return
    yield from changing(host, [limited(" && ".join(scripts), 120)])


def _reconciliation(name: str, wanted: Node, found: KubeNode) -> list[str]:
    """The kubectl calls for one Node; the annotation comes last, so that an interrupted change is done again."""
    keys = {_key(taint) for taint in wanted.taints}
    labels = [f"{key}={value}" for key, value in wanted.labels.items() if found.labels.get(key) != value]
    labels += [f"{key}-" for key in sorted(found.owned(LABELS) - wanted.labels.keys()) if key in found.labels]
    taints = [taint for taint in wanted.taints if _normal(taint) not in found.taints]
    gone = found.owned(TAINTS) - keys
    taints += [f"{key}-" for key in sorted(gone) if key in {_key(taint) for taint in found.taints}]
    owned = {LABELS: ",".join(sorted(wanted.labels)), TAINTS: ",".join(sorted(keys))}
    notes = [f"{key}={value}" for key, value in owned.items() if found.annotations.get(key, "") != value]
    return [
        *([_kubectl("label", "node", name, "--overwrite", *labels)] if labels else []),
        *([_kubectl("taint", "node", name, "--overwrite", *taints)] if taints else []),
        *([_kubectl("annotate", "node", name, "--overwrite", *notes)] if notes else []),
    ]


def _key(taint: str) -> str:
    return taint.split(":", maxsplit=1)[0].split("=", maxsplit=1)[0] + ":" + taint.rsplit(":", 1)[1]


def _normal(taint: str) -> str:
    return taint.replace("=:", ":")


def _kubectl(*words: str) -> str:
    return shlex.join([paths.K3S_BINARY, "kubectl", *words])


@operation()
def kubeconfig(settings: Settings, target: Path) -> Commands:
    """The admin's kubeconfig on the control side: 0600 from the start, with the server's address and our context."""
    source = state_of(settings, host).sha256(paths.K3S_KUBECONFIG)
    if source and kubeconfigs.is_current(target, settings, source):
        host.noop(f"{target} is current")
        return
    yield FunctionCommand(_fetch, (settings, target), {})


def _fetch(state: State, host: Host, settings: Settings, target: Path) -> bool:  # noqa: ARG001
    done, text = remote(host, f"cat {paths.K3S_KUBECONFIG} | base64 -w0")
    if not done:
        host.log(f"{paths.K3S_KUBECONFIG} cannot be read on {host.name}: {text}")
        return False
    kubeconfigs.write(target, settings, base64.b64decode(text).decode())
    return True
