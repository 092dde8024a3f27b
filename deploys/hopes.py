"""When a verdict that only a person can change ends a wait: at once if it came during the wait, else when it stays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deploys.health import Verdict

STALE_SECONDS = 240.0
"""Argo CD looks anew at least every 120 s + up to 60 s of jitter (`timeout.reconciliation`), then it still has to read."""


class Hopes:
    """One wait's. What stood there when it began may be about a fault that has just been put right."""

    def __init__(self, seconds: float = STALE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._ends, self._now = now() + seconds, now
        self._old: frozenset[str] | None = None

    def lost(self, verdicts: Iterable[Verdict]) -> str | None:
        """Why there is nothing left to wait for; None as long as there is."""
        found = frozenset(verdict.hopeless for verdict in verdicts if verdict.hopeless)
        self._old = found if self._old is None else self._old & found
        counting = found if self._now() >= self._ends else found - self._old
        return min(counting, default=None)
