"""The servers that hold the data: one leader by majority vote, writes acknowledged by a majority, one learner at a time.

Not etcd and not Raft: a stale member is brought up to date with a whole snapshot. What it shares with etcd is what a
deploy can run into: quorum, learners that become voters, members that stay when their machine is gone.
"""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from .journal import die, log
from .objects import Draft
from .settings import PACE
from .store import Batch, Json, Store

TICK, PATIENCE, PROMOTED_AFTER = 0.5 * PACE, 3.0 * PACE, 1.0 * PACE  # seconds
MEMBERS = "standin/members"

Call = Callable[[str, Json], Json]  # (address of a peer, message) -> its answer; raises OSError


class NoLeader(Exception):
    """No leader is known here, or there is no majority."""


class Cluster:
    """One server's view. `me` is None for a server on SQLite, which is always its own leader."""

    def __init__(self, store: Store, me: str | None, call: Call) -> None:
        self.store, self.me, self._call = store, me, call
        self.lock = threading.RLock()
        self.leader: str | None = None
        self.term = store.term
        self.heartbeats: dict[str, float] = {}
        self._heard = time.monotonic() - PATIENCE + random.uniform(0.0, TICK)  # noqa: S311 - spreads elections
        self._synced: dict[str, float] = {}  # learners: since when their copy is complete
        self._pool = ThreadPoolExecutor(8)

    @property
    def members(self) -> dict[str, Json]:
        """By member name `<node>-<8 hex>`: node, address, learner."""
        record = self.store.records.get(MEMBERS)
        return dict(record["members"]) if record else {}

    @property
    def leading(self) -> bool:
        return self.me is None or self.leader == self.me

    @property
    def quorum(self) -> int:
        return sum(not member["learner"] for member in self.members.values()) // 2 + 1

    def run(self) -> None:
        while self.me is not None:
            try:
                self._tick()
            except NoLeader as problem:
                log("warning", str(problem))
            time.sleep(TICK)

    def _tick(self) -> None:
        if self.me not in self.members:
            die("member has been permanently removed from the cluster")
        if self.leading:
            self._lead()
        elif time.monotonic() - self._heard > PATIENCE:
            self.leader = None
            self._campaign()

    def _ask(self, message: Json) -> dict[Future[Json], str]:
        others = {name: member for name, member in self.members.items() if name != self.me}
        message = message | {"from": self.me}
        return {self._pool.submit(self._call, m["address"], message): name for name, m in others.items()}

    def _majority(self, asked: dict[Future[Json], str]) -> bool:
        """Waits until enough voters agreed, or all have answered or failed."""
        members, quorum = self.members, self.quorum
        agreed = 0 if self.me in members and members[self.me]["learner"] else 1
        for future in as_completed(asked) if agreed < quorum else []:
            answer = {} if future.exception() else future.result()
            if answer.get("removed"):
                die("member has been permanently removed from the cluster")
            if answer.get("agreed"):
                name = asked[future]
                agreed += name in members and not members[name]["learner"]
            if agreed >= quorum:
                break
        return agreed >= quorum

    def _campaign(self) -> None:
        if self.members[self.me or ""]["learner"]:
            return
        with self.lock:
            self.term = term = self.term + 1
        asked = self._ask({"vote": term, "position": self.store.position})
        if self._majority(asked):
            with self.lock:
                if self.term == term:
                    self.leader = self.me
                    log("info", f"{self.me} is the leader of term {term}")
            self._lead()
        else:
            self._heard = time.monotonic() - random.uniform(0.0, PATIENCE)  # noqa: S311 - spreads elections

    def _lead(self) -> None:
        """Tell everybody who leads, bring stale copies up to date, promote a learner that is complete."""
        position = self.store.position
        message = {"lead": self.term, "position": position, "heartbeats": dict(self.heartbeats)}
        asked = self._ask(message)
        alive = 1
        for future in as_completed(asked):
            name = asked[future]
            member = self.members.get(name)
            if future.exception() is not None or member is None:
                self._synced.pop(name, None)
                continue
            answer = future.result()
            if answer["term"] > self.term:
                self._step_down(answer["term"])
                return
            alive += not member["learner"]
            if answer["position"] not in (position, self.store.position):
                self._bring_up_to_date(name, member)
            elif member["learner"]:
                self._synced.setdefault(name, time.monotonic())
        if alive < self.quorum:
            self._step_down(self.term)
            raise NoLeader(f"lost the majority: {alive} of {len(self.members)} members answer")
        self._promote()

    def _bring_up_to_date(self, name: str, member: Json) -> None:
        with self.lock:
            message = {"lead": self.term, "snapshot": self.store.snapshot(), "from": self.me}
            message |= {"position": self.store.position, "heartbeats": dict(self.heartbeats)}
            try:
                self._call(member["address"], message)
            except OSError as problem:
                log("warning", f"{name} could not be brought up to date: {problem}")

    def _promote(self) -> None:
        for name, since in list(self._synced.items()):
            members = self.members
            if name in members and members[name]["learner"] and time.monotonic() - since > PROMOTED_AFTER:
                members[name] = members[name] | {"learner": False}
                self.commit({MEMBERS: {"members": members}})
                self._synced.pop(name)
                log("info", f"{name} was promoted from learner to voter")

    def _step_down(self, term: int) -> None:
        with self.lock:
            self.leader, self.term, self._heard = None, max(term, self.term), time.monotonic()

    def draft(self) -> Draft:
        return Draft(self.store.records, self.store.revision)

    def commit(self, changes: dict[str, Json | None]) -> None:
        """Keep a change once a majority holds it; the caller is the leader and holds the lock."""
        if not changes:
            return
        with self.lock:
            if not self.leading:
                raise NoLeader("the leader has changed")
            batch = Batch(self.store.revision + 1, self.term, changes)
            asked = self._ask({"lead": self.term, "position": self.store.position, "batch": batch.as_json()})
            if self.me is not None and not self._majority(asked):
                self._step_down(self.term)
                raise NoLeader("etcdserver: request timed out")
            self.store.append(batch)

    def receive(self, message: Json) -> Json:
        """A message of another server: a request for a vote, or the leader's word."""
        with self.lock:
            removed = False
            if "vote" in message:
                agreed = self._vote(message)
                removed = message["from"] not in self.members and self.store.position > message["position"]
            elif message["lead"] < self.term or (message["lead"] == self.term and self.leading):
                agreed = False
            else:
                agreed = self._follow(message)
            position = self.store.position
            return {"agreed": agreed, "term": self.term, "position": position, "removed": removed}

    def _vote(self, message: Json) -> bool:
        satisfied = self.leader is not None and time.monotonic() - self._heard < PATIENCE
        if message["vote"] <= self.term or (satisfied and not self.leading):
            return False
        if self.leading or message["position"] < self.store.position:
            return False
        self.term, self.leader, self._heard = message["vote"], None, time.monotonic()
        return True

    def _follow(self, message: Json) -> bool:
        self.term, self.leader, self._heard = message["lead"], message["from"], time.monotonic()
        for name, when in message.get("heartbeats", {}).items():
            self.heartbeats[name] = max(when, self.heartbeats.get(name, 0.0))
        if "snapshot" in message:
            self.store.restore(message["snapshot"])
        elif message["position"] != self.store.position:
            return False
        elif "batch" in message:
            self.store.append(Batch(**message["batch"]))
        return True
