"""Environment and tree → kubernetes/clusters/ENV: the projects, and one Application per component, in waves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootstrap.config.base import Environment
from bootstrap.config.components import APPS_WAVE, COMPONENTS, LAYERS, Component
from bootstrap.gitops.text import replacing
from bootstrap.gitops.workloads import Workloads

_SERVER = "https://kubernetes.default.svc"
_REFERENCE = "repository"  # the name by which a chart's source finds its values in Git
_SYNC_POLICY: dict[str, Any] = {
    "automated": {"prune": True, "selfHeal": True},
    # also compares by who owns a field: what a controller fills in (a caBundle, a Secret's data) is no difference
    "syncOptions": ["ServerSideApply=true"],
    # for ever, but with the newest commit: without `refresh` the retries would sync the one that failed
    "retry": {
        "limit": -1,
        "refresh": True,
        "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"},
    },
}


def application(environment: Environment, component: Component, project: Path) -> dict[str, Any]:
    """One component: its overlay, and its chart with values from Git."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": component.name,
            "namespace": "argocd",
            "annotations": {
                "argocd.argoproj.io/sync-wave": str(component.wave),
                # what nothing waits for does not make root unhealthy either
                **({"argocd.argoproj.io/ignore-healthcheck": "true"} if component.wave > APPS_WAVE else {}),
            },
        },
        "spec": {
            "project": component.layer,
            "sources": _sources(environment, component, project),
            "destination": {"server": _SERVER, "namespace": component.name},
            "syncPolicy": _SYNC_POLICY,
        },
    }


def _sources(environment: Environment, component: Component, project: Path) -> list[dict[str, Any]]:
    folder = f"kubernetes/{component.layer}/{component.name}"
    overlay = f"{folder}/overlays/{environment.name}"
    git = {
        "repoURL": environment.gitops.repository,
        "targetRevision": environment.gitops.revision,
        "path": overlay,
    }
    if component.chart is None:
        return [git]
    values = [f"{folder}/values.yaml", f"{overlay}/values.yaml"]
    chart = {
        "repoURL": component.chart.repository,
        "chart": component.chart.name,
        "targetRevision": component.chart.version,
        "helm": {"valueFiles": [f"${_REFERENCE}/{v}" for v in values if (project / v).exists()]},
    }
    return [git | {"ref": _REFERENCE}, chart]


def kustomization(workloads: Workloads) -> dict[str, Any]:
    """The layers' projects and the set of apps, with this environment's repository, and the Applications."""
    gitops = workloads.environment.gitops
    apps = {
        "/spec/generators/0/git/repoURL": gitops.repository,
        "/spec/generators/0/git/revision": gitops.revision,
        "/spec/generators/0/git/directories": [
            {"path": f"kubernetes/apps/*/overlays/{workloads.environment.name}"}
        ],
        "/spec/template/spec/source/repoURL": gitops.repository,
        "/spec/template/spec/source/targetRevision": gitops.revision,
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../base", "applications.yaml"],
        "patches": [
            *(_project(workloads, layer) for layer in (*LAYERS, "apps")),
            replacing("ApplicationSet", "apps", apps),
        ],
    }


def _project(workloads: Workloads, layer: str) -> dict[str, Any]:
    """Where a layer's Applications may come from, and the namespaces of the layers below, which it may not enter."""
    of_layer = (c.chart.repository for c in workloads.components if c.layer == layer and c.chart)
    below = LAYERS[: LAYERS.index(layer)] if layer in LAYERS else LAYERS
    closed = [*(c.name for c in COMPONENTS if c.layer in below), *(["kube-*"] if below else [])]
    return replacing(
        "AppProject",
        layer,
        {
            "/spec/sourceRepos": [workloads.environment.gitops.repository, *sorted({*of_layer})],
            "/spec/destinations": [
                {"server": _SERVER, "namespace": name} for name in ("*", *(f"!{name}" for name in closed))
            ],
            "/spec/clusterResourceBlacklist": [
                {"group": "", "kind": "Namespace", "name": name} for name in closed
            ],
        },
    )
