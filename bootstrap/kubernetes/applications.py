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
    """One application; `sync` and `health` in Argo CD's words, `detail` is one line, empty when all is well."""

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
    status = item.get("status") or {}
    sync = (status.get("sync") or {}).get("status") or "Unknown"
    health = (status.get("health") or {}).get("status") or "Unknown"
    phase = (status.get("operationState") or {}).get("phase") or "Succeeded"
    fine = (sync, health, phase) == ("Synced", "Healthy", "Succeeded")
    return Application(
        name=item["metadata"]["name"],
        project=(item.get("spec") or {}).get("project") or "default",
        sync=sync,
        health=health,
        detail="" if fine else _reason(status),
    )


def _reason(status: Mapping[str, Any]) -> str:
    """The first condition, an error before a warning; else what the last sync says of itself; else the health's message."""
    conditions = sorted(status.get("conditions") or [], key=lambda entry: not entry["type"].endswith("Error"))
    operation = status.get("operationState") or {}
    finished = operation.get("phase") == "Succeeded"
    sources = [*conditions, {} if finished else operation, status.get("health") or {}]
    said = next((text for source in sources if (text := source.get("message"))), None) or _out_of_sync(status)
    return " ".join((said if status else "Argo CD has not looked at it yet").split())


def _out_of_sync(status: Mapping[str, Any]) -> str:
    """The first resource that differs. What is not healthy cannot be told: Argo CD keeps that out of the Application."""
    for resource in status.get("resources") or []:
        if resource.get("status", "Synced") != "Synced":
            return f"{resource.get('kind')} {resource.get('name')} is {resource['status']}"
    return ""
