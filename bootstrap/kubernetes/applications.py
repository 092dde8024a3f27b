"""Argo CD's Applications, with the reason where one is not Synced and Healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bootstrap.errors import KubernetesError
from bootstrap.kubernetes.api import Api

_PATH = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application; `sync` and `health` in Argo CD's words, `detail` is one line, empty when there is nothing to say."""

    name: str
    project: str
    sync: str
    health: str
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(api: Api) -> list[Application] | None:
    """By name; None when the cluster does not know the kind, so that there is no Argo CD."""
    try:
        items = api.get(_PATH).get("items") or []
    except KubernetesError as error:
        if error.status == 404:
            return None
        raise
    return sorted((application(item) for item in items), key=lambda found: found.name)


def application(item: Mapping[str, Any]) -> Application:
    status, spec = item.get("status") or {}, item.get("spec") or {}
    sync = (status.get("sync") or {}).get("status") or "Unknown"
    health = (status.get("health") or {}).get("status") or "Unknown"
    phase = (status.get("operationState") or {}).get("phase") or "Succeeded"
    detail = ""
    if not status:
        detail = "Argo CD has not looked at it yet"
    elif (sync, health, phase) != ("Synced", "Healthy", "Succeeded"):
        # which resource is not well Argo CD keeps out of the Application
        namespace = (spec.get("destination") or {}).get("namespace") or "argocd"
        detail = _reason(status) or f"kubectl -n {namespace} get pods,events"
    else:
        detail = "; ".join(entry["message"] for entry in status.get("conditions") or [])
    return Application(
        name=item["metadata"]["name"],
        project=spec.get("project") or "default",
        sync=sync,
        health=health,
        detail=detail,
    )


def _reason(status: Mapping[str, Any]) -> str:
    """The first condition, an error before a warning; the sync that goes on or failed; the first resource that differs."""
    conditions = sorted(status.get("conditions") or [], key=lambda entry: not entry["type"].endswith("Error"))
    operation = status.get("operationState") or {}
    going_on = {} if operation.get("phase") == "Succeeded" else operation
    sources = [*conditions, going_on, status.get("health") or {}]
    said = next((text for source in sources if (text := source.get("message"))), None)
    return " ".join((said or _out_of_sync(status)).split())


def _out_of_sync(status: Mapping[str, Any]) -> str:
    for resource in status.get("resources") or []:
        if resource.get("status", "Synced") != "Synced":
            return f"{resource.get('kind')} {resource.get('name')} is {resource['status']}"
    return ""
