"""A table on the terminal: what every benchmark ends with."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The first column to the left, all others to the right; floats with two digits."""
    cells = [[*head], *([_text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    say("\n".join(["", f"{title} ({where})", *lines]))


def say(line: str) -> None:
    """At once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
