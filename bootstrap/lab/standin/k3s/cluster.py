"""Several servers, one state: the oldest member that answers makes the changes, all members keep a whole copy.

Not etcd and not Raft: there is no quorum, and of two states the one of the higher revision wins. What it shares with
etcd is what a deploy can run into: learners that become voters, members that stay when their machine is gone.
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from . import objects
from .client import Client, Refused
from .journal import die
from .requests import CHANGES, preview
from .state import Json, State
from .status import shown

REMOVED = "member has been permanently removed from the cluster"


class Cluster:
    """One server's view; `me` is its member name."""

    def __init__(self, state: State, path: Path, me: str, password: str) -> None:
        self.state, self.me, self._path, self._password = state, me, path, password
        self._url = state.members[me]["address"]
        self._lock = threading.RLock()
        self._heartbeats: dict[str, float] = {}  # every node reports to every server
        self._started = time.time()

    def answer(self, request: str, body: Json) -> Any:
        """A request of kubectl, a node or a server; raises Refused."""
        if request in CHANGES:
            return self._change(request, body)
        if request == "preview":
            return preview(self.state.draft(), body)
        if request in ("get", "heartbeat", "exchange"):
            return getattr(self, request)(body)
        raise Refused(404, "404 page not found")

    def _change(self, request: str, body: Json) -> Any:
        for name, member in self.state.members.items():
            if name == self.me:
                break
            try:
                return self._peer(member["address"]).post(request, body)
            except OSError:
                continue  # it is down: the next one, at last this one
        with self._lock:
            draft = self.state.draft()
            answer = CHANGES[request](draft, body)
            if not draft.same(self.state):
                self.keep(self.newest(draft))
            return answer

    def newest(self, state: State) -> State:
        """Give `state` to the other members, also to one that it removes; the newest of it and what they have.

        Who is down catches up when it starts.
        """
        for address in dict.fromkeys([*self.state.addresses, *state.addresses]):
            newer = None
            if address != self._url:
                with contextlib.suppress(OSError, Refused):
                    newer = self._peer(address).post("exchange", vars(state))
            state = State(**newer) if newer else state
        return state

    def exchange(self, theirs: Json) -> Json:
        with self._lock:
            if theirs["revision"] > self.state.revision:
                self.keep(State(**theirs))
            return vars(self.state) if theirs["revision"] < self.state.revision else {}

    def keep(self, state: State) -> None:
        self.state = state
        state.write(self._path)
        if self.me not in state.members:
            die(REMOVED)

    def _peer(self, address: str) -> Client:
        return Client(address, self.state.founding["ca"]["server-ca.crt"], self._password)

    def heartbeat(self, body: Json) -> Json:
        self._heartbeats[body["name"]] = time.time()
        return {"servers": self.state.addresses}

    def get(self, body: Json) -> Json:
        """`targets` are [type, names] pairs; no names means all. A namespace of None means every one."""
        state = self.state
        items, errors = [], []
        for word, names in body["targets"]:
            kind = objects.kind_of(state, word)
            keys = [kind.key(body["namespace"] or "", name) for name in names]
            prefix = kind.key(body["namespace"] or "", "").rstrip("/") + "/"
            for key in keys or sorted(key for key in state.records if key.startswith(prefix)):
                name = key.rpartition("/")[2]
                if key in state.records:
                    items.append({"title": kind.title(name), "object": self._shown(key)})
                else:
                    errors.append(str(objects.not_found(kind, name)))
        return {"items": items, "errors": errors}

    def list(self, path: str) -> Json:
        """`/api/v1/nodes` or `/apis/GROUP/VERSION[/namespaces/NAMESPACE]/PLURAL`, as kube-apiserver answers it."""
        kind, version, namespace = objects.listed(self.state, path)
        found = self.get({"targets": [[kind.resource, []]], "namespace": namespace})["items"]
        return {
            "apiVersion": version,
            "kind": f"{kind.kind}List",
            "metadata": {"resourceVersion": str(self.state.revision)},
            "items": [item["object"] for item in found],
        }

    def _shown(self, key: str) -> Json:
        record = self.state.records[key]
        name = record["object"]["metadata"]["name"]
        member = next((member for member in self.state.members.values() if member["node"] == name), None)
        return shown(record, self._heartbeats.get(name, self._started), member)
