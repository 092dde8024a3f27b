"""`make docs-commands`: every command block of the handbook with its mark, and how many are run."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.blocks import COMMANDS, handbook

found = [block for block in handbook(Path(__file__).parents[2]) if block.language == COMMANDS]
for block in found:
    first, *rest = block.commands
    more = f" (and {len(rest)} more)" if rest else ""
    sys.stdout.write(f"{block!s:28} {block.mark or 'NOT MARKED':60} {first}{more}\n")
run = [block for block in found if block.place]
commands = sum(len(block.commands) for block in run)
sys.stdout.write(
    f"{len(found)} blocks: {len(run)} run ({commands} commands), {len(found) - len(run)} not run\n"
)
