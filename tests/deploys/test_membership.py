"""How a server comes to a cluster: founding one needs proof that there is none."""

from __future__ import annotations

import pytest

from deploys import paths
from deploys.facts.node import FileState, Node
from deploys.membership import Decision, Found, Join, Member, Refuse, decide

CA = "c" * 64
EMPTY = Node(read=True)
UNREAD = Node()  # what pyinfra answers when the fact's command failed
STOPPED = Node(
    read=True, exists=frozenset({paths.ETCD_MEMBER}), files={paths.SERVER_CA: FileState(0o644, "root", CA)}
)
SERVING = Node(read=True, exists=STOPPED.exists, files=STOPPED.files, serving=True)
LONE = Node(read=True, exists=frozenset({paths.SQLITE}))
STARTING = Node(read=True, serving=True, files=STOPPED.files)

CASES: dict[str, tuple[str, Node, dict[str, Node], Decision | str]] = {
    "a member is left alone": ("s1", STOPPED, {}, Member()),
    "the first of an empty list founds": ("s1", EMPTY, {"s2": EMPTY, "s3": EMPTY}, Found()),
    "a single empty server founds": ("s1", EMPTY, {}, Found()),
    "a further one joins": ("s2", EMPTY, {"s1": SERVING, "s3": EMPTY}, Join("s1", CA)),
    "a rebuilt first one joins the others": ("s1", EMPTY, {"s2": SERVING, "s3": SERVING}, Join("s2", CA)),
    "an unreachable one does not matter where another answers": (
        "s1", EMPTY, {"s2": UNREAD, "s3": SERVING}, Join("s3", CA),
    ),
    "nothing is founded while one cannot be read": ("s1", EMPTY, {"s2": EMPTY, "s3": UNREAD}, "s3 cannot be asked"),
    "nothing is decided about one that is not read itself": ("s1", UNREAD, {"s2": EMPTY}, "could not be read"),
    "one that is not read itself joins nothing either": ("s2", UNREAD, {"s1": SERVING}, "could not be read"),
    "a single one that is not read founds nothing": ("s1", UNREAD, {}, "could not be read"),
    "nothing is founded while data lies on a stopped one": (
        "s1", EMPTY, {"s2": STOPPED, "s3": EMPTY}, "s2 holds the cluster's data and does not answer",
    ),
    "a further one does not found": ("s2", EMPTY, {"s1": EMPTY, "s3": EMPTY}, "s1 founds it; deploy to s1 first"),
    "one that answers without data is not joined": ("s2", EMPTY, {"s1": STARTING}, "there is no cluster yet"),
    "a lone cluster of another kind is not taken over": ("s1", LONE, {}, "SQLite"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "me", "peers", "expected"), CASES.values(), ids=CASES)
def test_a_server_founds_or_joins_by_evidence(
    name: str, me: Node, peers: dict[str, Node], expected: Decision | str
) -> None:
    decision = decide(name, me, peers, first="s1")
    if isinstance(expected, str):
        assert isinstance(decision, Refuse)
        assert expected in decision.reason
    else:
        assert decision == expected
