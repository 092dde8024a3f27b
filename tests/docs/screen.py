"""What is left on a terminal's screen after everything was written: lines that were written over count as they stand at last."""

from __future__ import annotations

import itertools
import re

_TOKEN = re.compile(r"\x1b\[(?P<numbers>[0-9;?]*)(?P<order>[A-Za-z])|(?P<character>[^\x1b])", re.DOTALL)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def plain(line: str) -> str:
    """A line without colours."""
    return _COLOURS.sub("", line).rstrip()


class Screen:
    """As wide and as long as it needs to be: nothing wraps, nothing scrolls away."""

    def __init__(self, written: str) -> None:
        self._lines: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._style = ""
        for token in _TOKEN.finditer(written):
            if token["order"]:
                self._obey(token["order"], token["numbers"])
            else:
                self._write(token["character"])

    @property
    def lines(self) -> list[str]:
        """The lines with their colours."""
        return [self._rendered(line) for line in self._lines]

    def _rendered(self, line: list[tuple[str, str]]) -> str:
        runs = (
            (style, "".join(c for _, c in run))
            for style, run in itertools.groupby(line, lambda cell: cell[0])
        )
        return "".join(f"{style}{text}\x1b[0m" if style else text for style, text in runs).rstrip()

    def _write(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._go(self._row + 1)
        else:
            line = self._lines[self._row]
            line += [("", " ")] * (self._column + 1 - len(line))
            line[self._column] = (self._style, character)
            self._column += 1

    def _obey(self, order: str, numbers: str) -> None:
        first = int(numbers) if numbers.isdigit() else 0
        line = self._lines[self._row]
        if order == "m":
            self._style = "" if numbers in ("", "0") else f"{self._style}\x1b[{numbers}m"
        elif order in "AB":
            self._go(self._row + max(first, 1) * (-1 if order == "A" else 1))
        elif order == "K":
            del line[0 if first == 2 else self._column :]
        elif order == "J":
            del line[self._column :], self._lines[self._row + 1 :]

    def _go(self, row: int) -> None:
        self._row = max(row, 0)
        self._lines += [[] for _ in range(self._row + 1 - len(self._lines))]
