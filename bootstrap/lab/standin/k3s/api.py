"""What the API answers: kubectl's requests, node registration, members joining. Runs on the leader, under its lock."""

import base64
import hashlib
import secrets
import time
from typing import Any

from .cluster import MEMBERS, Cluster
from .kinds import NODE, SECRET, Kind
from .objects import ApiError, Draft, labelled, not_found
from .status import shown
from .store import Json

REJECTED = (
    "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server "
    "node-passwd entry, try enabling a unique node name with the --with-node-id flag"
)
DUPLICATE = "etcd cluster join failed: duplicate node name found, please use a unique name for this node"


class Api:
    """One method per kind of request; each takes and gives JSON."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def answer(self, name: str, body: Json) -> Any:
        with self.cluster.lock:
            return getattr(self, f"do_{name}")(body)

    def _shown(self, record: Json, *, managed: bool = False) -> Json:
        body = shown(record, self.cluster.heartbeats, self.cluster.members)
        if managed:
            entries = [
                {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": tree}
                for manager, tree in record["managers"].items()
            ]
            body["metadata"]["managedFields"] = entries
        return body

    def do_get(self, body: Json) -> Json:
        """`resources` is a list of [type, names]; no names means all."""
        draft = self.cluster.draft()
        items: list[Json] = []
        errors: list[Json] = []
        for word, names in body["resources"]:
            kind = draft.kind(word)
            namespace = None if body.get("all") else body["namespace"]
            found = dict(draft.scan(kind, namespace))
            records = [record for record in found.values() if labelled(record, body.get("selector", ""))]
            if names:
                keys = {name: kind.key(body["namespace"], name) for name in names}
                records = [found[key] for key in keys.values() if key in found]
                errors += [not_found(kind, name).status for name, key in keys.items() if key not in found]
            title = {"kind": kind.kind, "resource": kind.resource}
            managed = bool(body.get("managed"))
            items += [
                {
                    "title": kind.title(r["object"]["metadata"]["name"]),
                    **title,
                    "object": self._shown(r, managed=managed),
                }
                for r in records
            ]
        return {"items": items, "errors": errors}

    def do_apply(self, body: Json) -> Json:
        """Each manifest by itself, in order, as kubectl does; one that fails does not stop the others."""
        draft = self.cluster.draft()
        lines: list[Json] = []
        kinds: dict[tuple[str, str], Kind] = {}
        for manifest in body["manifests"]:
            try:
                lines.append(self._apply(draft, kinds, manifest, body))
            except ApiError as problem:
                lines.append({"error": problem.status})
        if not body.get("dry"):
            self.cluster.commit(draft.changes)
        return {"lines": lines}

    def _apply(self, draft: Draft, kinds: dict[tuple[str, str], Kind], manifest: Json, body: Json) -> Json:
        sort = (manifest["apiVersion"], manifest["kind"])
        kind = kinds.get(sort) or kinds.setdefault(sort, draft.mapped(manifest))
        name = manifest["metadata"]["name"]
        own = manifest["metadata"].get("namespace")
        if kind.namespaced and own and body.get("explicit") and own != body["namespace"]:
            text = f'the namespace from the provided object "{own}" does not match the namespace "{body["namespace"]}"'
            raise ApiError(400, "BadRequest", text)
        namespace = own or body["namespace"]
        before = draft.read(kind.key(namespace, name))
        if body.get("create"):
            after = draft.create(kind, manifest, namespace, body["manager"])
        else:
            after = draft.apply(kind, manifest, namespace, body["manager"], force=bool(body.get("force")))
        line: Json = {"title": kind.title(name), "changed": after is not before}
        if body.get("dry"):
            line |= {"before": before and before["object"], "after": after["object"]}
        return line

    def do_edit(self, body: Json) -> Json:
        """label, annotate, taint: `change` is merged into every named object."""
        draft = self.cluster.draft()
        [[word, names]] = body["resources"]
        kind, namespace = draft.kind(word), body["namespace"]
        lines = []
        for name in names:
            before = draft.read(kind.key(namespace, name))
            if before is None:
                raise not_found(kind, name)
            change = body["change"]
            if not body.get("overwrite"):
                _refuse_overwriting(before["object"], body)
            if body.get("taints") is not None:
                change = {"spec": {"taints": _tainted(before["object"], body["taints"])}}
            after = draft.edit(kind, namespace, name, body["manager"], change)
            lines.append({"title": kind.title(name), "changed": after is not before})
        self.cluster.commit(draft.changes)
        return {"lines": lines}

    def do_delete(self, body: Json) -> Json:
        draft = self.cluster.draft()
        lines: list[Json] = []
        for word, names in body["resources"]:
            kind = draft.kind(word)
            chosen = names or [
                record["object"]["metadata"]["name"]
                for _, record in draft.scan(kind, body["namespace"])
                if labelled(record, body.get("selector", ""))
            ]
            for name in chosen:
                try:
                    draft.delete(kind, body["namespace"], name)
                    lines.append({"kind": kind.title("").rstrip("/"), "name": name})
                except ApiError as problem:
                    lines.append({"error": problem.status})
                if kind == NODE:
                    self._without_member(draft, name)
        self.cluster.commit(draft.changes)
        return {"lines": lines}

    def _without_member(self, draft: Draft, node: str) -> None:
        """Deleting a server's Node removes its etcd member, as K3s' onRemove handler does."""
        members = self.cluster.members
        kept = {name: member for name, member in members.items() if member["node"] != node}
        if kept != members:
            draft.changes[MEMBERS] = {"members": kept}

    def do_join(self, body: Json) -> Json:
        """A further server becomes a learner and gets the whole state."""
        members = self.cluster.members
        if any(member["node"] == body["node"] for member in members.values()):
            raise ApiError(400, "Duplicate", DUPLICATE)
        if any(member["learner"] for member in members.values()):
            raise ApiError(400, "Learner", "etcdserver: too many learner members in cluster")
        learner = {"node": body["node"], "address": body["address"], "learner": True}
        self.cluster.commit({MEMBERS: {"members": members | {body["name"]: learner}}})
        return self.cluster.store.snapshot()

    def do_register(self, body: Json) -> Json:
        """A node's first word after each start; labels and taints count only when its Node object is made."""
        draft = self.cluster.draft()
        name = body["name"]
        self._check_password(draft, name, body["password"])
        if draft.read(NODE.key("", name)) is None:
            metadata = {"name": name, "labels": body["labels"], "annotations": body["annotations"]}
            spec = {"taints": body["taints"]} if body["taints"] else {}
            manifest = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
            draft.apply(NODE, manifest, "", "k3s", force=True)
        metadata = {"labels": body["system_labels"], "annotations": body["annotations"]}
        draft.edit(NODE, "", name, "k3s", {"metadata": metadata, "status": body["status"]})
        self.cluster.commit(draft.changes)
        return self.do_heartbeat(body)

    def do_heartbeat(self, body: Json) -> Json:
        if self.cluster.draft().read(NODE.key("", body["name"])) is not None:
            self.cluster.heartbeats[body["name"]] = time.time()
        return {"servers": [member["address"] for member in self.cluster.members.values()]}

    def _check_password(self, draft: Draft, node: str, password: str) -> None:
        key = SECRET.key("kube-system", f"{node}.node-password.k3s")
        record = draft.read(key)
        if record is None:
            salt = secrets.token_hex(8)
            data = {"hash": f"{salt}:{_digest(salt, password)}"}
            metadata = {"name": f"{node}.node-password.k3s"}
            manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
            draft.apply(SECRET, manifest, "kube-system", "k3s", force=True)
            return
        salt, _, digest = base64.b64decode(record["object"]["data"]["hash"]).decode().partition(":")
        if digest != _digest(salt, password):
            raise ApiError(403, "Forbidden", REJECTED)


def _digest(salt: str, password: str) -> str:
    return hashlib.sha256(f"{salt}:{password}".encode()).hexdigest()


def _tainted(node: Json, changes: list[Json]) -> list[Json] | None:
    """`remove` drops every taint of that key (and effect, where one is given)."""
    taints = list(node.get("spec", {}).get("taints") or [])
    for change in changes:
        taint = {key: value for key, value in change.items() if key != "remove"}
        effect = taint.get("effect")
        kept = [t for t in taints if t["key"] != taint["key"] or (effect and t["effect"] != effect)]
        if change.get("remove") and kept == taints:
            words = ":".join(filter(None, [taint["key"], effect]))
            raise ApiError(404, "NoTaint", f'taint "{words}" not found')
        taints = kept
        if not change.get("remove"):
            taints.append(taint)
    return taints or None


def _refuse_overwriting(old: Json, body: Json) -> None:
    """Kubectl's own check of label, annotate and taint without --overwrite."""
    for part in ("labels", "annotations"):
        for key, value in (body["change"].get("metadata", {}).get(part) or {}).items():
            found = (old["metadata"].get(part) or {}).get(key)
            if value is not None and found not in (None, value):
                text = f"'{key}' already has a value ({found}), and --overwrite is false"
                raise ApiError(400, "Overwrite", text)
    taken = {(taint["key"], taint["effect"]) for taint in old.get("spec", {}).get("taints") or []}
    again = [t for t in body.get("taints") or [] if not t.get("remove") and (t["key"], t["effect"]) in taken]
    if again:
        keys = ", ".join(taint["key"] for taint in again)
        text = f"node {old['metadata']['name']} already has {keys} taint(s) with same effect(s) and --overwrite is false"
        raise ApiError(400, "Overwrite", text)
