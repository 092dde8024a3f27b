"""The Kubernetes objects in the store: reading, server-side apply, edits and deletion, each on a draft of one batch."""

import base64
import datetime as dt
import json
import time
import uuid
from typing import Any

from . import fields
from .kinds import BUILTIN, CRD, NAMESPACE, NODE, SECRET, Kind, find, from_definition, match
from .store import Json

ESTABLISHED_AFTER = 0.3  # seconds from a CRD's creation until its kind is served


class ApiError(Exception):
    """An answer of the API server: `Error from server (Reason): message`."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    @property
    def status(self) -> Json:
        return {"kind": "Status", "code": self.code, "reason": self.reason, "message": self.message}

    @property
    def body(self) -> str:
        """What goes over the wire; an answer that is passed on has no reason and is its own body already."""
        return json.dumps(self.status) if self.reason else self.message


def not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found')


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Draft:
    """The records as they will be once the batch is committed; `changes` is the batch."""

    def __init__(self, records: dict[str, Json], revision: int) -> None:
        self.records, self.revision = records, revision
        self.changes: dict[str, Json | None] = {}

    def read(self, key: str) -> Json | None:
        return self.changes[key] if key in self.changes else self.records.get(key)

    def scan(self, kind: Kind, namespace: str | None = None) -> list[tuple[str, Json]]:
        """Records of a kind in order of their keys; None means every namespace."""
        prefix = f"{kind.plural}.{kind.group}/" + (f"{namespace}/" if namespace and kind.namespaced else "")
        keys = {key for key in (*self.records, *self.changes) if key.startswith(prefix)}
        return [(key, record) for key in sorted(keys) if (record := self.read(key)) is not None]

    def kinds(self) -> list[Kind]:
        definitions = [
            from_definition(record["object"])
            for _, record in self.scan(CRD)
            if time.time() - record["created"] >= ESTABLISHED_AFTER
        ]
        return [*BUILTIN, *definitions]

    def kind(self, word: str) -> Kind:
        kind = find(self.kinds(), word)
        if kind is None:
            raise ApiError(404, "UnknownKind", f'the server doesn\'t have a resource type "{word}"')
        return kind

    def mapped(self, manifest: Json) -> Kind:
        """The kind of a manifest, or kubectl's text for one that is not served (yet)."""
        api, name = manifest["apiVersion"], manifest["kind"]
        kind = match(self.kinds(), api, name)
        if kind is None:
            raise ApiError(404, "NoMatch", f'no matches for kind "{name}" in version "{api}"')
        return kind

    def write(self, kind: Kind, record: Json, after: tuple[Json, dict[str, fields.Tree]], key: str) -> Json:
        """Keeps the record as it is when nothing differs, so that resourceVersion tells of changes only."""
        body, managers = after
        if record.get("object") == body and record.get("managers") == managers:
            return record
        metadata = body["metadata"]
        metadata["resourceVersion"] = str(self.revision + 1)
        if kind.kind not in {"Namespace", "Node", "Secret", "ConfigMap", "ServiceAccount"}:
            changed = record.get("object", {}).get("spec") != body.get("spec")
            metadata["generation"] = metadata.get("generation", 0) + changed
        stamp = time.time()
        fresh = {
            "object": body,
            "managers": managers,
            "changed": stamp,
            "created": record.get("created", stamp),
        }
        self.changes[key] = fresh
        return fresh

    def _blank(self, kind: Kind, manifest: Json, namespace: str) -> Json:
        name = manifest["metadata"]["name"]
        if kind.namespaced and self.read(NAMESPACE.key("", namespace)) is None:
            raise not_found(NAMESPACE, namespace)
        metadata = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
        place = {"namespace": namespace} if kind.namespaced else {}
        return {"apiVersion": manifest["apiVersion"], "kind": kind.kind, "metadata": metadata | place}

    def apply(self, kind: Kind, manifest: Json, namespace: str, manager: str, *, force: bool) -> Json:
        wanted = fields.wanted(_plain_secret(manifest))
        key = kind.key(namespace, manifest["metadata"]["name"])
        record = self.read(key) or {}
        old = record.get("object") or self._blank(kind, manifest, namespace)
        managers = record.get("managers", {})
        found = [] if force else fields.conflicts(old, managers, manager, wanted)
        if found:
            raise ApiError(409, "Conflict", _conflict_text(found, manifest["apiVersion"]))
        return self.write(kind, record, fields.apply(old, managers, manager, wanted), key)

    def create(self, kind: Kind, manifest: Json, namespace: str, manager: str) -> Json:
        name = manifest["metadata"]["name"]
        if self.read(kind.key(namespace, name)) is not None:
            raise ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists')
        return self.apply(kind, manifest, namespace, manager, force=True)

    def edit(self, kind: Kind, namespace: str, name: str, manager: str, change: Json) -> Json:
        """Merges `change` into the object; None removes a field."""
        key = kind.key(namespace, name)
        record = self.read(key)
        if record is None:
            raise not_found(kind, name)
        return self.write(
            kind, record, fields.edit(record["object"], record["managers"], manager, change), key
        )

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        key = kind.key(namespace, name)
        record = self.read(key)
        if record is None:
            raise not_found(kind, name)
        self.changes[key] = None
        for dependent in self._dependents(kind, record, name):
            self.changes[dependent] = None

    def _dependents(self, kind: Kind, record: Json, name: str) -> list[str]:
        keys = list({*self.records, *self.changes})
        if kind == NAMESPACE:
            return [key for key in keys if not key.startswith("standin/") and key.split("/")[1] == name]
        if kind == CRD:
            defined = from_definition(record["object"])
            return [key for key, _ in self.scan(defined)]
        if kind == NODE:
            return [SECRET.key("kube-system", f"{name}.node-password.k3s")]
        return []


def _plain_secret(manifest: Json) -> Json:
    if manifest["kind"] != "Secret" or not manifest.get("stringData"):
        return manifest
    encoded = {
        key: base64.b64encode(str(value).encode()).decode() for key, value in manifest["stringData"].items()
    }
    rest = {key: value for key, value in manifest.items() if key != "stringData"}
    return rest | {"data": (manifest.get("data") or {}) | encoded}


def _conflict_text(found: list[fields.Conflict], api_version: str) -> str:
    manager = found[0].manager
    lines = [f"- .{'.'.join(conflict.path)}" for conflict in found]
    many = f"{len(found)} conflict{'s' if len(found) > 1 else ''}"
    return f'Apply failed with {many}: conflicts with "{manager}" using {api_version}:\n' + "\n".join(lines)


def labelled(record: Json, selector: str) -> bool:
    """Equality selectors: `a=b,c!=d,e`."""
    labels = record["object"]["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        key, operator, value = _requirement(part)
        if operator == "!=" and labels.get(key) == value:
            return False
        if operator == "=" and labels.get(key) != value:
            return False
        if operator == "" and key not in labels:
            return False
    return True


def _requirement(part: str) -> tuple[str, str, Any]:
    for operator in ("!=", "==", "="):
        if operator in part:
            key, _, value = part.partition(operator)
            return key, "!=" if operator == "!=" else "=", value
    return part, "", None
