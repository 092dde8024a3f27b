"""Facts remembered for as long as nothing changed: pyinfra itself asks the host anew for each of them.

What was read while planning is not used while executing, and what was read before a change is forgotten after it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyinfra.api.command import PyinfraCommand
    from pyinfra.api.facts import FactBase
    from pyinfra.api.host import Host
    from pyinfra.api.state import State

T = TypeVar("T")
Key = tuple[bool, type, str]

_known: WeakKeyDictionary[State, dict[Key, object]] = WeakKeyDictionary()
_locks: WeakKeyDictionary[State, dict[Key, threading.RLock]] = WeakKeyDictionary()


def recall(host: Host, fact: type[FactBase[T]], **questions: object) -> T:
    """The fact about `host`, asked once per phase and again after a change. Peers may ask at the same time."""
    key = (bool(host.state.is_executing), fact, host.name)
    known = _known.setdefault(host.state, {})
    with _locks.setdefault(host.state, {}).setdefault(key, threading.RLock()):
        if key not in known:
            known[key] = host.get_fact(fact, **questions)
        return known[key]  # type: ignore[return-value]


def forget(host: Host) -> None:
    """After a change: about the host itself, and about the cluster, which any node can have changed."""
    known = _known.get(host.state, {})
    for key in [key for key in known if key[2] == host.name or getattr(key[1], "of_the_cluster", False)]:
        del known[key]


def changing(host: Host, commands: Iterable[PyinfraCommand]) -> Iterator[PyinfraCommand]:
    """Yield the commands of a change; after each of them what was known is forgotten."""
    for command in commands:
        yield command  # while planning nothing comes after it, and nothing was changed
        forget(host)
