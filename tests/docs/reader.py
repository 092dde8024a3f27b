"""A reader of the handbook: types a block at a desk, as it stands there, and answers what is asked."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.docs import terminal
from tests.docs.blocks import Block, handbook

ROOT = Path(__file__).parents[2]
EDITOR = f"{sys.executable} {Path(__file__).with_name('editor.py')}"
# The end of a question → what a reader types. Pressing Enter is pyinfra's yes.
ANSWERS = {
    r"(?m)^[a-z.-]+ of [a-z]+: ": "a-secret-value",
    r"Repeat for confirmation: ": "a-secret-value",
    r"Apply this plan\? \[y/N\]: ": "y",
    r"Press enter to execute\.\.\.": "",
}


def at(*places: str, page: str = "") -> list[Block]:
    """The blocks (of a page) that are to be run at one of these places, in the order of the handbook."""
    return [block for block in handbook(ROOT) if block.place in places and page in ("", block.file)]


def pages(place: str) -> list[str]:
    """The pages that have blocks for this place. A page is followed as a whole: a block may need what stands above it."""
    return list(dict.fromkeys(block.file for block in at(place)))


def installed(desk: Any) -> Any:
    """The desk with the packages of the checkout under test, so that `make` need not fetch them."""
    (desk.folder / ".venv").symlink_to(ROOT / ".venv")
    for made_from in ("requirements.lock", "pyproject.toml"):
        os.utime(desk.folder / made_from, (0, 0))
    (desk.folder / ".git" / "info" / "exclude").write_text(".venv\n")
    return desk


def follow(
    block: Block,
    desk: Any,
    *,
    shell: Sequence[str] = (),
    limit: float = 300,
    answers: dict[str, str] | None = None,
    **variables: str,
) -> terminal.Ran:
    """Type a block into bash and expect the exit statuses that its mark names. `shell`: what is entered before."""
    statuses = desk.folder.parent / "statuses"
    statuses.write_text("")
    script = f"trap 'echo $? >> {shlex.quote(str(statuses))}' ERR\n{block.script}"
    ran = terminal.run(
        [*shell, "bash", "-c", script],
        desk.folder,
        {"EDITOR": EDITOR} | desk.environment | variables,
        ANSWERS | (answers or {}),
        limit,
    )
    desk.printed.append(ran.screen)
    seen = [int(line) for line in statuses.read_text().split()]
    assert seen == block.statuses, (
        f"{block}: statuses {seen}, and its mark says {block.statuses}\n{ran.screen[-6000:]}"
    )
    return ran
