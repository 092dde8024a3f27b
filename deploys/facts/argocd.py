"""Argo CD as a server sees it: what was installed, what runs, what was handed over; one remote command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from deploys import paths
from deploys.facts.cluster import items

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "argocd"
CONTENT = "rzp.io/content"
"""Annotation of what we apply: the sha256 of what was applied. Only it leaves the host, so a Secret's data does not."""
CONTROLLERS = (
    "statefulset/argocd-application-controller",
    "deployment/argocd-applicationset-controller",
    "deployment/argocd-redis",
    "deployment/argocd-repo-server",
    "deployment/argocd-server",
)
"""Without these nothing syncs; dex and notifications may be trimmed, but what is there must be available."""
CRDS = ("applications.argoproj.io", "applicationsets.argoproj.io", "appprojects.argoproj.io")


@dataclass(frozen=True)
class Workload:
    """A Deployment or a StatefulSet."""

    wanted: int
    available: int
    observed: bool

    @property
    def up(self) -> bool:
        return self.observed and self.available >= self.wanted


@dataclass(frozen=True)
class ArgoCD:
    """Empty before the installation. `applied`: what of `namespace/argocd`, … is there → our mark, or nothing."""

    applied: Mapping[str, str] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """What is not available, in words; None when all is."""
        absent = [name for name in CONTROLLERS if name not in self.workloads]
        down = [f"{name} {w.available}/{w.wanted}" for name, w in self.workloads.items() if not w.up]
        parts = ([f"absent: {', '.join(absent)}"] if absent else []) + (
            [f"not up: {', '.join(down)}"] if down else []
        )
        return "; ".join(parts) or None


class ArgoCDState(FactBase[ArgoCD]):
    """`objects` are asked for their mark, as KIND/NAME."""

    of_the_cluster = True

    @override
    def command(self, objects: tuple[str, ...]) -> str:
        return script(objects)

    @override
    @staticmethod
    def default() -> ArgoCD:
        return ArgoCD()

    @override
    def process(self, output: list[str]) -> ArgoCD:
        return parse(output)


_SCRIPT = rf"""[ -x {paths.K3S_BINARY} ] || exit 0
get() {{ timeout 20 {paths.K3S_BINARY} kubectl -n {NAMESPACE} get "$1" -o json 2>/dev/null; }}
applied() {{
  for o; do
    found=$(get "$o") || continue
    mark=$(printf %s "$found" | sed -n 's|^ *"{CONTENT}": "\([0-9a-f]*\)".*|\1|p' | head -n 1)
    printf 'applied\t%s\t%s\n' "$o" "$mark"
  done
}}
"""


def script(objects: tuple[str, ...]) -> str:
    """Kubectl prints an object's annotations one a line, so no object has to leave the host."""
    workloads = "get deployments.apps,statefulsets.apps || true"
    return f"{_SCRIPT}applied {shlex.join(objects)}\nprintf 'workloads\\n'\n{workloads}"


def parse(lines: list[str]) -> ArgoCD:
    applied = (line.partition("\t")[2].partition("\t") for line in lines if line.startswith("applied\t"))
    return ArgoCD(
        applied={name: mark for name, _, mark in applied},
        workloads={
            f"{item['kind'].lower()}/{item['metadata']['name']}": _workload(item)
            for item in items(lines, "workloads")
        },
    )


def _workload(item: dict[str, Any]) -> Workload:
    status = item.get("status", {})
    return Workload(
        wanted=item["spec"].get("replicas", 1),
        available=status.get("availableReplicas") or 0,
        observed=status.get("observedGeneration", 0) >= item["metadata"].get("generation", 1),
    )
