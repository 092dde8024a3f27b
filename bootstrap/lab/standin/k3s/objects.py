"""The Kubernetes objects in the state: finding kinds, keeping an object, server-side apply in a simple form."""

import base64
import re
import time
import uuid
from typing import Any

from .client import Refused
from .kinds import BUILTIN, CRD, NAMESPACE, Kind, from_definition
from .state import Json, State

_LIST = re.compile(r"/api(?:s/([^/]+))?/([^/]+)(?:/namespaces/([^/]+))?/([^/?]+)")
ESTABLISHED_AFTER = 0.3  # seconds from a CRD's creation until its kind is served


def stamp(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def not_found(kind: Kind, name: str) -> Refused:
    return Refused(404, f'Error from server (NotFound): {kind.resource} "{name}" not found')


def kinds(state: State) -> list[Kind]:
    definitions = [
        from_definition(record["object"])
        for key, record in state.records.items()
        if key.startswith(CRD.key("", "")) and time.time() - record["created"] >= ESTABLISHED_AFTER
    ]
    return [*BUILTIN.values(), *definitions]


def kind_of(state: State, word: str) -> Kind:
    """The kind that is typed after `kubectl get`."""
    found = next((kind for kind in kinds(state) if kind.answers_to(word)), None)
    if found is None:
        raise Refused(404, f'error: the server doesn\'t have a resource type "{word}"')
    return found


def listed(state: State, path: str) -> tuple[Kind, str, str | None]:
    """What a path of Kubernetes' API lists: the kind, its apiVersion, and the namespace if one is named."""
    asked = _LIST.fullmatch(path)
    if asked is None:
        raise Refused(501, f"stand-in: {path} is not imitated, only lists are")
    group, version, namespace, plural = asked.groups(default="")
    for kind in kinds(state):
        if (kind.group, kind.plural) == (group, plural) and version in kind.versions:
            return kind, f"{group}/{version}".lstrip("/"), namespace or None
    raise Refused(404, "404 page not found")


def read(state: State, kind: Kind, namespace: str, name: str) -> Json:
    record = state.records.get(kind.key(namespace, name))
    if record is None:
        raise not_found(kind, name)
    return record


def keep(draft: State, kind: Kind, body: Json, managers: Json | None = None) -> None:
    """Store an object; one that does not differ stays as it is, so that resourceVersion tells of changes only.

    `managers`: what each field manager applied last.
    """
    metadata = body["metadata"]
    key = kind.key(metadata.get("namespace", ""), metadata["name"])
    old = draft.records.get(key) or {"object": {}, "managers": {}, "created": time.time()}
    managers = old["managers"] if managers is None else managers
    if (body, managers) == (old["object"], old["managers"]):
        return
    first = {"uid": str(uuid.uuid4()), "creationTimestamp": stamp(old["created"]), "generation": 0}
    metadata = first | metadata | {"resourceVersion": str(draft.revision)}
    metadata["generation"] += not old["object"] or body.get("spec") != old["object"].get("spec")
    record = {"object": body | {"metadata": metadata}, "managers": managers}
    draft.records[key] = record | {"created": old["created"], "changed": time.time()}


def apply(draft: State, manifest: Json, namespace: str | None, manager: str) -> str:
    """Server-side apply with --force-conflicts; the object's title."""
    kind = _kind_of_manifest(draft, manifest)
    metadata = manifest["metadata"]
    if kind.namespaced:
        space = metadata.get("namespace") or namespace or "default"
        if namespace and space != namespace:
            raise Refused(400, f'error: the namespace "{space}" of the object does not match "{namespace}"')
        read(draft, NAMESPACE, "", space)
        metadata = metadata | {"namespace": space}
    wanted = manifest | {"metadata": metadata}
    if text := wanted.pop("stringData", None):
        data = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        wanted["data"] = (wanted.get("data") or {}) | data
    old = draft.records.get(kind.key(metadata.get("namespace", ""), metadata["name"]), {})
    managers = old.get("managers", {})
    body = merged(old.get("object", {}), managers.get(manager, {}), wanted)
    keep(draft, kind, body, managers | {manager: wanted})
    return kind.title(metadata["name"])


def _kind_of_manifest(state: State, manifest: Json) -> Kind:
    group, _, version = manifest["apiVersion"].rpartition("/")
    for kind in kinds(state):
        if (kind.group, kind.kind) == (group, manifest["kind"]) and version in kind.versions:
            return kind
    text = f'error: no matches for kind "{manifest["kind"]}" in version "{manifest["apiVersion"]}"'
    raise Refused(404, f"{text}; ensure CRDs are installed first")


def merged(old: Any, before: Any, wanted: Json) -> Json:
    """`wanted` over `old`; what `before` had and `wanted` has not goes, so does None. Lists are replaced as a whole."""
    old, before = (value if isinstance(value, dict) else {} for value in (old, before))
    result = {key: value for key, value in old.items() if key not in before and key not in wanted}
    for key in old.keys() & before.keys() - wanted.keys():
        # others' values below the same key stay
        if isinstance(old[key], dict) and (rest := merged(old[key], before[key], {})):
            result[key] = rest
    for key, value in wanted.items():
        if value is not None:
            nested = isinstance(value, dict)
            result[key] = merged(old.get(key), before.get(key), value) if nested else value
    return result
