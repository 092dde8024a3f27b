"""What changes the state, one function per request; each changes the draft that it is given, or raises Refused."""

import base64
import secrets
from collections.abc import Callable

from . import objects
from .client import Refused
from .kinds import CRD, NAMESPACE, NODE, SECRET
from .state import Json, State
from .tokens import digest

REJECTED = (
    "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server "
    "node-passwd entry, try enabling a unique node name with the --with-node-id flag"
)
DUPLICATE = "etcd cluster join failed: duplicate node name found, please use a unique name for this node"
TOO_MANY_LEARNERS = "etcdserver: too many learner members in cluster"


def apply(draft: State, body: Json) -> Json:
    """Each manifest by itself, in order, as kubectl does; one that fails does not stop the others."""
    out: list[str] = []
    errors: list[str] = []
    for manifest in body["manifests"]:
        try:
            title = objects.apply(draft, manifest, body["namespace"], body["manager"])
            out.append(f"{title} serverside-applied")
        except Refused as problem:
            errors.append(str(problem))
    return {"out": out, "errors": errors}


def preview(draft: State, body: Json) -> Json:
    """What `apply` would change, as [before, after]. The draft is thrown away."""
    old = dict(draft.records)
    for manifest in body["manifests"]:
        objects.apply(draft, manifest, body["namespace"], body["manager"])
    changed = [key for key, record in draft.records.items() if record is not old.get(key)]
    return {"pairs": [[old.get(key, {}).get("object"), draft.records[key]["object"]] for key in changed]}


def edit(draft: State, body: Json) -> Json:
    """label, annotate, taint, with --overwrite: merges `change`, in which None removes, or sets and removes `taints`."""
    kind = objects.kind_of(draft, body["type"])
    out = []
    for name in body["names"]:
        old = objects.read(draft, kind, body["namespace"], name)["object"]
        change = body["change"] or {"spec": {"taints": _tainted(old, body["taints"])}}
        objects.keep(draft, kind, objects.merged(old, {}, change))
        out.append(f"{kind.title(name)} {body['done']}")
    return {"out": out, "errors": []}


def _tainted(node: Json, changes: list[Json]) -> list[Json]:
    """`remove` drops the taints of that key and, where one is given, effect; else the taint is set."""
    taints = list(node.get("spec", {}).get("taints") or [])
    for change in changes:
        key, effect = change["key"], change.get("effect")
        taints = [t for t in taints if t["key"] != key or (effect and t["effect"] != effect)]
        taints += [] if change["remove"] else [{k: v for k, v in change.items() if k != "remove"}]
    return taints


def delete(draft: State, body: Json) -> Json:
    """Deleting a server's Node removes its etcd member, as K3s' onRemove handler does, and a Node's password goes too."""
    kind = objects.kind_of(draft, body["type"])
    if kind in (NAMESPACE, CRD):
        raise Refused(501, f"error: stand-in: deleting a {kind.kind} is not imitated")
    out, errors = [], []
    for name in body["names"]:
        if draft.records.pop(kind.key(body["namespace"], name), None) is None:
            errors.append(str(objects.not_found(kind, name)))
            continue
        out.append(f'{kind.title("").rstrip("/")} "{name}" deleted')
        if kind == NODE:
            draft.records.pop(_password_key(name), None)
            draft.members = {key: member for key, member in draft.members.items() if member["node"] != name}
    return {"out": out, "errors": errors}


def join(draft: State, body: Json) -> Json:
    """A further server becomes a learner and gets the whole state."""
    if any(member["node"] == body["node"] for member in draft.members.values()):
        raise Refused(400, DUPLICATE)
    if any(member["learner"] for member in draft.members.values()):
        raise Refused(400, TOO_MANY_LEARNERS)
    draft.members[body["member"]] = {"node": body["node"], "address": body["address"], "learner": True}
    return vars(draft)


def promote(draft: State, body: Json) -> Json:
    """A learner that is up becomes a voter."""
    draft.members[body["member"]] = draft.members[body["member"]] | {"learner": False}
    return {}


def register(draft: State, body: Json) -> Json:
    """A node's first word after each start; its own labels and taints count only when its Node object is made."""
    name = body["name"]
    _check_password(draft, name, body["password"])
    record = draft.records.get(NODE.key("", name))
    first = {"metadata": {"labels": body["labels"]}, "spec": {"taints": body["taints"]}}
    metadata = {"name": name, "labels": body["system_labels"], "annotations": body["annotations"]}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": body["status"]}
    objects.keep(draft, NODE, objects.merged(record["object"] if record else first, {}, node))
    return {}


def _password_key(node: str) -> str:
    return SECRET.key("kube-system", f"{node}.node-password.k3s")


def _check_password(draft: State, node: str, password: str) -> None:
    record = draft.records.get(_password_key(node))
    if record is None:
        salt = secrets.token_hex(8)
        text = base64.b64encode(f"{salt}:{digest(salt, password)}".encode()).decode()
        metadata = {"name": f"{node}.node-password.k3s", "namespace": "kube-system"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"hash": text}}
        objects.keep(draft, SECRET, secret)
        return
    salt, _, kept = base64.b64decode(record["object"]["data"]["hash"]).decode().partition(":")
    if kept != digest(salt, password):
        raise Refused(403, REJECTED)


CHANGES: dict[str, Callable[[State, Json], Json]] = {
    change.__name__: change for change in (apply, edit, delete, join, promote, register)
}
