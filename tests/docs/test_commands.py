"""The handbook's commands that need no machines, typed as they stand there: in a checkout, and on a lab without machines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.blocks import Block
from tests.docs.reader import ANSWERS, at, follow, installed, pages


@pytest.mark.parametrize("page", pages("checkout"))
def test_a_page_is_followed_in_a_checkout(page: str, new_desk: Any) -> None:
    clone = installed(new_desk())
    for block in at("checkout", page=page):
        follow(block, clone, limit=120)


@pytest.mark.parametrize("page", pages("lab"))
def test_a_page_is_followed_on_a_lab_without_machines(page: str, new_desk: Any) -> None:
    desk = new_desk()
    desk.run("rzp-bootstrap", "lab", "start", "--backend", "record")
    for block in at("lab", page=page):
        follow(block, desk, limit=120)
    desk.run("rzp-bootstrap", "lab", "stop")


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
