"""How a server comes to a cluster, decided by evidence: a second cluster by accident is impossible.

(a) it holds data: it is a member, leave that alone; (b) another server answers and holds data: join it; (c) nobody
holds data and everybody was read: the first of the list founds the cluster; (d) else: refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploys import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploys.facts.node import Node


@dataclass(frozen=True)
class Member:
    """It holds data already."""


@dataclass(frozen=True)
class Join:
    """Join the cluster of the server `peer`, whose CA has this checksum."""

    peer: str
    ca_sha256: str


@dataclass(frozen=True)
class Found:
    """Start the cluster."""


@dataclass(frozen=True)
class Refuse:
    """Neither can be done without risk."""

    reason: str


UNREAD = "what is on it could not be read, so nothing is done to its K3s; see the error above, and run again"
Decision = Member | Join | Found | Refuse


def decide(name: str, me: Node, peers: Mapping[str, Node], *, first: str) -> Decision:
    """`peers` are the other servers in their order, with those that could not be read."""
    if not me.read:
        return Refuse(UNREAD)
    if me.member:
        return Member()
    if paths.SQLITE in me.exists:
        return Refuse(
            f"{name} holds a K3s database of the SQLite kind, which this deploy never makes; save it and clear"
            f" {paths.SERVER_DATA}/db, or convert it by hand"
        )
    for peer, node in peers.items():
        ca = node.sha256(paths.SERVER_CA)
        if node.member and node.serving and ca:
            return Join(peer, ca)
    if silent := [peer for peer, node in peers.items() if not node.read]:
        return Refuse(
            f"{', '.join(silent)} cannot be asked whether there is a cluster already; bring it up, or take it out"
            " of the environment"
        )
    if stopped := [peer for peer, node in peers.items() if node.member]:
        return Refuse(
            f"{', '.join(stopped)} holds the cluster's data and does not answer on 6443; start it first"
        )
    if name != first:
        return Refuse(f"there is no cluster yet, and {first} founds it; deploy to {first} first")
    return Found()
