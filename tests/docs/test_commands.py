"""The handbook's commands that need no machines, typed as they stand there: in a checkout, and on a lab without machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs.blocks import Block
from tests.docs.reader import ANSWERS, at, follow, installed


@pytest.fixture(scope="module")
def without_machines_lab(new_desk: Any) -> Iterator[Any]:
    """A desk whose lab runs for the demo, without machines."""
    desk = new_desk()
    desk.run("rzp-bootstrap", "lab", "start", "--backend", "record")
    yield desk
    desk.run("rzp-bootstrap", "lab", "stop")


@pytest.fixture(scope="module")
def clone(desk: Any) -> Any:
    """The desk as `make setup` leaves it."""
    return installed(desk)


@pytest.mark.parametrize("block", at("checkout"), ids=str)
def test_a_block_runs_in_a_checkout(clone: Any, block: Block) -> None:
    follow(block, clone, limit=120)


@pytest.mark.parametrize("block", at("lab"), ids=str)
def test_a_block_runs_on_a_lab_without_machines(without_machines_lab: Any, block: Block) -> None:
    follow(block, without_machines_lab, limit=120)


def _typed(text: str, mark: str = "run: checkout") -> Block:
    return Block("page.md", 1, "sh", text, mark)


def test_a_command_that_ends_with_another_status_than_the_mark_says_is_found(desk: Any) -> None:
    follow(_typed("true\nfalse\nexit 0\n", "run: checkout, exit 1"), desk)

    with pytest.raises(AssertionError, match=r"statuses \[1\], and its mark says \[\]"):
        follow(_typed("false\ntrue\n"), desk)


def test_a_secret_is_asked_for_without_being_shown(desk: Any) -> None:
    ran = follow(
        _typed("rzp-bootstrap secrets set staging canary\nrzp-bootstrap secrets list staging\n"), desk
    )

    assert "canary is set" in ran.screen
    assert ANSWERS[r"Repeat for confirmation: "] not in ran.screen
