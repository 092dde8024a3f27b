"""The K3s nodes, as the cluster's Node objects show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bootstrap.kubernetes.api import Api

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node; `state` is Ready, NotReady, Unknown or missing, `pinned`: it runs the environment's version of K3s."""

    name: str
    role: str
    state: str
    version: str = ""
    pinned: bool = False
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(api: Api, wanted: Mapping[str, str], version: str | None) -> list[Node]:
    """The nodes of the environment in its order (`wanted`: name → role), then those that it does not know."""
    return rows(api.get("/api/v1/nodes").get("items") or [], wanted, version)


def rows(items: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], version: str | None) -> list[Node]:
    found = {item["metadata"]["name"]: item for item in items}
    return [
        _node(name, found[name], wanted, version)
        if name in found
        else Node(name=name, role=wanted[name], state="missing", detail="has not registered")
        for name in [*wanted, *sorted(found.keys() - wanted.keys())]
    ]


def _node(name: str, item: Mapping[str, Any], wanted: Mapping[str, str], pinned: str | None) -> Node:
    status = item.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or []}
    ready = conditions.get("Ready") or {}
    version = (status.get("nodeInfo") or {}).get("kubeletVersion") or ""
    state = {"True": "Ready", "False": "NotReady"}.get(ready.get("status", ""), "Unknown")
    details = [
        " ".join((ready.get("message") or "reports no condition").split()) if state != "Ready" else "",
        f"{pinned} is pinned" if version != pinned else "",
        "takes no new pods (cordoned)" if (item.get("spec") or {}).get("unschedulable") else "",
        "" if name in wanted else "is no node of the environment",
    ]
    return Node(
        name=name,
        role="server" if _CONTROL_PLANE in (item["metadata"].get("labels") or {}) else "agent",
        state=state,
        version=version,
        pinned=version == pinned,
        detail="; ".join(filter(None, details)),
    )
