"""What kubectl prints: objects as JSON, YAML or names, short tables, differences."""

import datetime as dt
import json
import sys
from collections.abc import Callable
from typing import Any

from .arguments import Arguments, Usage
from .store import Json


def out(text: str) -> None:
    sys.stdout.write(text + "\n")


def err(text: str) -> None:
    sys.stderr.write(text + "\n")


def _yaml(value: Any) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=True)).rstrip("\n")


def show(items: list[Json], output: str, *, single: bool, wide: bool) -> None:
    objects = [item["object"] for item in items]
    if output in {"json", "yaml"}:
        if single and not objects:
            return
        whole = (
            objects[0]
            if single
            else {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}
        )
        out(json.dumps(whole, indent=4) if output == "json" else _yaml(whole))
    elif output == "name":
        for item in items:
            out(item["title"])
    elif output in {"", "wide"}:
        _tables(items, namespaces=wide)
    else:
        raise Usage(f"stand-in: output `{output}` is not imitated; json, yaml and name are")


def _tables(items: list[Json], *, namespaces: bool) -> None:
    if not items:
        err("No resources found")
    for resource in dict.fromkeys(item["resource"] for item in items):
        rows = [_row(item, namespaces=namespaces) for item in items if item["resource"] == resource]
        widths = {
            column: max(len(row.get(column, "")) for row in [*rows, {column: column}]) for column in rows[0]
        }
        out("   ".join(column.ljust(width) for column, width in widths.items()).rstrip())
        for row in rows:
            out("   ".join(row[column].ljust(width) for column, width in widths.items()).rstrip())


def _row(item: Json, *, namespaces: bool) -> dict[str, str]:
    body = item["object"]
    metadata, status = body["metadata"], body.get("status", {})
    row = {"NAMESPACE": metadata["namespace"]} if namespaces and "namespace" in metadata else {}
    row["NAME"] = metadata["name"]
    if item["kind"] == "Node":
        ready = next(c["status"] for c in status["conditions"] if c["type"] == "Ready")
        prefix = "node-role.kubernetes.io/"
        roles = sorted(
            key.removeprefix(prefix) for key in metadata.get("labels", {}) if key.startswith(prefix)
        )
        row |= {"STATUS": "Ready" if ready == "True" else "NotReady", "ROLES": ",".join(roles) or "<none>"}
    if "readyReplicas" in status:
        row["READY"] = f"{status['readyReplicas']}/{status['replicas']}"
    row["AGE"] = _age(metadata["creationTimestamp"])
    if item["kind"] == "Node":
        row["VERSION"] = status["nodeInfo"]["kubeletVersion"]
    return row


def _age(created: str) -> str:
    passed = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(created)
    seconds = int(passed.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def difference(line: Json) -> None:
    import difflib

    before, after = (_yaml(line[side]).splitlines() if line[side] else [] for side in ("before", "after"))
    for text in difflib.unified_diff(
        before, after, f"LIVE/{line['title']}", f"MERGED/{line['title']}", lineterm=""
    ):
        out(text)


def versions(version: str, arguments: Arguments, ask: Callable[[], str]) -> int:
    found = {"clientVersion": {"gitVersion": version}}
    if not arguments.on("client"):
        found["serverVersion"] = json.loads(ask())
    if arguments.one("output") in {"json", "yaml"}:
        out(json.dumps(found, indent=2) if arguments.one("output") == "json" else _yaml(found))
    else:
        for key, value in found.items():
            out(f"{key.removesuffix('Version').title()} Version: {value['gitVersion']}")
    return 0
