"""Server-side apply in a simple form: who manages which fields, as a tree shaped like `fieldsV1`.

Lists are one field (real Kubernetes merges some of them by key); what an apply no longer names, and nobody else
manages, is removed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .store import Json

Path = tuple[str, ...]
Tree = dict[str, Any]
_IDENTITY = ("apiVersion", "kind", "status")
_SYSTEM = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


def wanted(applied: Json) -> Json:
    """The fields of a manifest that can be managed."""
    fields = {key: value for key, value in applied.items() if key not in _IDENTITY}
    metadata = {
        k: v for k, v in (applied.get("metadata") or {}).items() if k not in _SYSTEM and v is not None
    }
    fields.pop("metadata", None)
    return fields | ({"metadata": metadata} if metadata else {})


def tree(value: Any) -> Tree:
    """A `.` stands for a mapping itself, where it is empty."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": tree(item) for key, item in value.items()} or {".": {}}


def leaves(node: Tree, above: Path = ()) -> Iterator[Path]:
    for key, below in node.items():
        if key == ".":
            yield above
        elif below:
            yield from leaves(below, (*above, key[2:]))
        else:
            yield (*above, key[2:])


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))  # several times faster than deepcopy on a CRD of 340 KB


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) or (new == {} and isinstance(old, dict))


def _owns(node: Tree, path: Path) -> bool:
    """A leaf of this tree at `path`, above it or below it."""
    for key in path:
        if f"f:{key}" not in node:
            return False
        node = node[f"f:{key}"]
        if not node:
            return True
    return True


def _disown(node: Tree, path: Path) -> None:
    for key in path[:-1]:
        node = node.get(f"f:{key}", {})
    node.pop(f"f:{path[-1]}", None)


def get(value: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def put(value: Json, path: Path, item: Any) -> None:
    for key in path[:-1]:
        below = value.get(key)
        if not isinstance(below, dict):
            below = value[key] = {}
        value = below
    value[path[-1]] = item


def drop(value: Json, path: Path) -> None:
    parents = [value]
    for key in path[:-1]:
        below = parents[-1].get(key)
        if not isinstance(below, dict):
            return
        parents.append(below)
    parents[-1].pop(path[-1], None)
    for parent, key in zip(reversed(parents[:-1]), reversed(path[:-1]), strict=True):
        if parent[key] == {} and key != "metadata":
            del parent[key]


@dataclass(frozen=True)
class Conflict:
    manager: str
    path: Path


def conflicts(old: Json, managers: dict[str, Tree], manager: str, fields: Json) -> list[Conflict]:
    others = {name: node for name, node in managers.items() if name != manager}
    return [
        Conflict(name, path)
        for path in leaves(tree(fields))
        if not _same(get(old, path), get(fields, path))
        for name, node in others.items()
        if _owns(node, path)
    ]


def apply(old: Json, managers: dict[str, Tree], manager: str, fields: Json) -> tuple[Json, dict[str, Tree]]:
    """The object and its managers after `manager` applied `fields`, taking fields over from others."""
    new, after = _copy(old), _copy(managers)
    mine = tree(fields)
    before = after.pop(manager, {})
    for path in leaves(mine):
        item = get(fields, path)
        if _same(get(old, path), item):
            continue
        for node in after.values():
            _disown(node, path)
        put(new, path, item)
    for path in leaves(before):
        kept = _owns(mine, path) or any(_owns(node, path) for node in after.values())
        if not kept and not (isinstance(get(new, path), dict) and get(new, path)):
            drop(new, path)
    after[manager] = mine
    return new, {name: node for name, node in after.items() if node}


def edit(old: Json, managers: dict[str, Tree], manager: str, fields: Json) -> tuple[Json, dict[str, Tree]]:
    """The object and its managers after an update (label, taint, annotate, patch): None removes a field."""
    new, after = _copy(old), _copy(managers)
    for path in leaves(tree(fields)):
        item = get(fields, path)
        if item == {} or get(old, path) == item:  # an empty map asks for nothing
            continue
        for node in after.values():
            _disown(node, path)
        if item is None:
            drop(new, path)
        else:
            put(new, path, item)
            put(after.setdefault(manager, {}), tuple(f"f:{key}" for key in path), {})
    return new, {name: node for name, node in after.items() if node}
