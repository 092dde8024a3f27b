"""Every command block of the handbook is run by a test, or says in place why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PLACES, Block, blocks, faults, handbook
from tests.docs.reader import at

ROOT = Path(__file__).parents[2]


def test_every_block_of_the_handbook_is_marked_and_every_mark_holds() -> None:
    found = [fault for block in handbook(ROOT) for fault in faults(block, ROOT)]

    assert found == []


def test_every_place_has_a_test_that_runs_its_blocks() -> None:
    runners = "".join(
        path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)
    )

    for place in PLACES:
        assert re.search(rf'\bat\([^)]*"{place}"', runners), f"nobody runs the blocks of {place}"


def test_the_two_commands_of_the_readme_are_run() -> None:
    assert at("demo")[0].commands == ["make demo"]
    assert [block.file for block in at("staging")] == ["README.md"]


def _only(text: str) -> Block:
    (found,) = blocks("page.md", text)
    return found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\nmake demo\n```", "nobody says who runs it"),
        ("```\nmake demo\n```", "names no language"),
        ("```fish\nmake demo\n```", "fish is no language here"),
        ("Type:\n\n    make demo\n", "is indented"),
        ("```sh\nmake demo\n", "is not closed"),
        ("```text\n$ make demo\n```", "looks like a command"),
        ("```console\nsudo make demo\n```", "looks like a command"),
        ("<!-- run: mars -->\n```sh\nmake demo\n```", "mars is no place and no file"),
        ("<!-- run: demo, quickly -->\n```sh\nmake demo\n```", "is not understood"),
        ("<!-- run: .ci/run -->\n```sh\nmake world\n```", ".ci/run does not run 'make world'"),
        ("<!-- not run: -->\n```sh\nmake demo\n```", "gives no reason"),
        ("<!-- not run: because -->\n```sh\nmake demo\n```", "gives no reason"),
        ("<!-- run: demo -->\n\n```sh\nmake demo\n```", "nobody says who runs it"),
    ],
)
def test_a_block_without_a_good_mark_is_refused(text: str, fault: str) -> None:
    (said,) = faults(_only(text), ROOT)

    assert fault in said


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run: demo -->\n```sh\nmake demo\n```",
        "<!-- run: demo shell, with ENV=demo NAME=x, exit 2 1 -->\n```sh\nmake ENV\n```",
        "<!-- run: .ci/run -->\n```sh\nmake test   # everything\n```",
        "<!-- not run: needs a real Proxmox VE -->\n```sh\nmake demo\n```",
        "1. Type:\n\n   <!-- run: checkout -->\n   ```sh\n   make demo\n   ```",
        "```yaml\nkind: Pod\n```",
    ],
)
def test_a_block_with_a_good_mark_is_accepted(text: str) -> None:
    assert faults(_only(text), ROOT) == []


def test_a_placeholder_gets_the_value_of_the_mark_and_the_rest_stays_word_for_word() -> None:
    block = _only(
        "- x\n\n  <!-- run: lab, with ENV=demo, exit 2 1 -->\n  ```sh\n  up ENV RZP_ENV  # ENV\n    -y\n  ```"
    )

    assert block.script == "up demo RZP_ENV  # demo\n  -y\n"
    assert block.statuses == [2, 1]
    assert block.commands == ["up ENV RZP_ENV", "-y"]
