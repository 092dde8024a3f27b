"""When a verdict that only a person can change ends a wait."""

from __future__ import annotations

from deploys.health import Verdict
from deploys.hopes import Hopes


def test_a_verdict_from_before_the_wait_gets_the_time_of_one_refresh() -> None:
    now = 0.0
    hopes = Hopes(seconds=240, now=lambda: now)
    unread = [Verdict("root", "Unknown", hopeless="no revision")]
    assert hopes.lost(unread) is None
    now = 239
    assert hopes.lost(unread) is None
    now = 240
    assert hopes.lost(unread) == "no revision"


def test_a_verdict_that_comes_during_the_wait_counts_at_once() -> None:
    hopes = Hopes(now=lambda: 0.0)
    stands, came = Verdict("a", "x", hopeless="old"), Verdict("b", "x", hopeless="new")
    assert hopes.lost([stands]) is None
    assert hopes.lost([stands, came]) == "new"


def test_a_verdict_that_went_and_came_again_is_a_new_one() -> None:
    hopes = Hopes(now=lambda: 0.0)
    stands = Verdict("a", "x", hopeless="old")
    assert [hopes.lost(found) for found in ([stands], [], [stands])] == [None, None, "old"]
