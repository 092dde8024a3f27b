"""Argo CD as a server sees it: what was installed, what runs, what was handed over, how that is; one remote command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyinfra.api.facts import FactBase
from typing_extensions import override

from deploys import paths
from deploys.facts.cluster import items
from deploys.health import ROOT, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "argocd"
CONTENT = "rzp.io/content"
"""Annotation of what we apply: the checksum of what was applied. Only it leaves the host, so a Secret's data does not."""
FOLLOWED = "rzp.io/followed"
"""Annotation of root: the checksum with which it, and all that it brought, was Synced and Healthy once."""
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
    """Empty before the installation. `applied`: what of `argocd/secret/rzp-repository`, … is there → our mark, or nothing.

    `followed` is root's mark of that name.
    """

    applied: Mapping[str, str] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    followed: str = ""

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
    """`objects` are asked for their mark, as NAMESPACE/KIND/NAME."""

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


_GET = rf"""[ -x {paths.K3S_BINARY} ] || exit 0
get() {{ timeout 20 {paths.K3S_BINARY} kubectl -n "$1" get "$2" -o json 2>/dev/null; }}
"""
_APPLIED = rf"""applied() {{
  for o; do
    found=$(get "${{o%%/*}}" "${{o#*/}}") || continue
    mark=$(printf %s "$found" | sed -n 's|^ *"{CONTENT}": "\([0-9a-f]*\)".*|\1|p' | head -n 1)
    printf 'applied\t%s\t%s\n' "$o" "$mark"
  done
}}
"""
_WORKLOADS = f"printf 'workloads\\n'\nget {NAMESPACE} deployments.apps,statefulsets.apps || true"
_APPLICATIONS = (
    f"printf 'applications\\n'\nget {NAMESPACE} applications.argoproj.io,applicationsets.argoproj.io || true"
)
APPLICATIONS = f"{_GET}{_APPLICATIONS}"
"""The script that asks for those alone."""


def script(objects: tuple[str, ...]) -> str:
    """Kubectl prints an object's annotations one a line, so no object but an Application has to leave the host."""
    return f"{_GET}{_APPLIED}applied {shlex.join(objects)}\n{_WORKLOADS}\n{_APPLICATIONS}"


def parse(lines: list[str]) -> ArgoCD:
    applied = (line.partition("\t")[2].partition("\t") for line in lines if line.startswith("applied\t"))
    found = items(lines, "applications")
    root = [item for item in found if (item["kind"], item["metadata"]["name"]) == ("Application", ROOT)]
    return ArgoCD(
        applied={name: mark for name, _, mark in applied},
        workloads={
            f"{item['kind'].lower()}/{item['metadata']['name']}": _workload(item)
            for item in items(lines, "workloads")
        },
        verdicts=judge(found),
        followed=root[0]["metadata"].get("annotations", {}).get(FOLLOWED, "") if root else "",
    )


def _workload(item: dict[str, Any]) -> Workload:
    status = item.get("status", {})
    return Workload(
        wanted=item["spec"].get("replicas", 1),
        available=status.get("availableReplicas") or 0,
        observed=status.get("observedGeneration", 0) >= item["metadata"].get("generation", 1),
    )
