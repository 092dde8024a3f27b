"""The handbook's commands on machines that boot, typed as they stand there: `make demo` first, the others on its lab."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.blocks import Block
from tests.docs.reader import at, follow, installed
from tests.docs.recording import RECORDED, differences
from tests.docs.terminal import Ran

pytestmark = pytest.mark.e2e
FIRST, *OTHERS = at("demo", "demo shell")
SHELL = ("rzp-bootstrap", "lab", "exec", "--")


@pytest.fixture(scope="module")
def demo(desk: Any) -> Ran:
    """What `make demo` wrote on the screen."""
    return follow(FIRST, installed(desk))


def test_the_readmes_first_command_ends_well_and_leaves_the_checkout_clean(demo: Ran, desk: Any) -> None:
    assert demo.status == 0
    assert "no change on any host" in demo.screen
    assert desk.run("git", "status", "--porcelain").stdout == ""


def test_the_readmes_recording_is_what_the_demo_prints(demo: Ran, checkout: Any) -> None:
    assert differences((checkout / RECORDED).read_text(), demo.lines) == []


@pytest.mark.parametrize("block", OTHERS, ids=str)
def test_a_block_runs_on_the_demo(demo: Ran, desk: Any, block: Block) -> None:
    assert demo.status == 0
    follow(block, desk, shell=SHELL if block.place == "demo shell" else ())
