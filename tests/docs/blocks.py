"""The fenced blocks of the handbook, and the mark above each that says who runs it, or why nobody does.

    <!-- run: PLACE -->                         a test types it there, word for word (PLACES)
    <!-- run: PLACE, with ENV=demo, exit 2 -->  a placeholder's value; the statuses of the commands that do not end with 0
    <!-- run: tests/FILE -->                    that file runs the same commands
    <!-- not run: needs … -->                   nobody does, and why

`sh` blocks are commands and carry a mark. Every other block names a language that says that it is no commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PLACES = {
    "checkout": "a copy of the checkout, no lab",
    "lab": "a copy of the checkout, the demo's lab without machines",
    "demo": "a copy of the checkout, on the host of the demo's lab with machines (root)",
    "demo shell": "the same, in `rzp-bootstrap lab shell`",
    "staging": "the same, in the lab of staging, with an operator's own site.py",
}
COMMANDS = "sh"
OTHERS = frozenset("text console yaml python json toml ini diff mermaid jinja".split())
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>\S*)\s*$")
_MARK = re.compile(r"^\s*<!-- (?P<said>(?:not )?run\b.*?) -->\s*$")
_TYPED = re.compile(
    r"^\s*(\$ |(sudo )?(make|rzp-bootstrap|pyinfra|kubectl|git|ssh|pveum|pvesm|qm|k3s|python3?) [a-z-])"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `mark` is what stands in the comment above it; `language` of an indented block is `indented`."""

    file: str
    line: int
    language: str
    text: str
    mark: str | None

    @property
    def place(self) -> str | None:
        """Where it is run: a place, or a file that runs it; None: nowhere."""
        found = re.match(r"^run: ([^,]+)", self.mark or "")
        return found[1].strip() if found else None

    @property
    def statuses(self) -> list[int]:
        """The exit statuses, in order, of those commands that are to end with another than 0."""
        found = re.search(r", exit((?: \d+)+)", self.mark or "")
        return [int(number) for number in found[1].split()] if found else []

    @property
    def script(self) -> str:
        """What is typed: the block, its placeholders filled in as the mark says."""
        typed = self.text
        for name, value in re.findall(r"([A-Z]+)=([^\s,]+)", self.mark or ""):
            typed = re.sub(rf"\b{name}\b", value, typed)
        return typed

    @property
    def commands(self) -> list[str]:
        """Its lines without comments."""
        lines = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def handbook(root: Path) -> list[Block]:
    """Every block of every page, the README first."""
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    return [block for page in pages for block in blocks(page.relative_to(root).as_posix(), page.read_text())]


def blocks(file: str, text: str) -> list[Block]:
    """The blocks of a page."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    lines = ["", *text.splitlines()]
    begin = 0
    for number, line in enumerate(lines):
        if opened is None and (opened := _FENCE.match(line)):
            begin = number
        elif opened and line.strip() == opened["fence"]:
            body = [inner.removeprefix(opened["indent"]) for inner in lines[begin + 1 : number]]
            mark = _MARK.match(lines[begin - 1])
            found.append(
                Block(file, begin, opened["language"], "\n".join(body) + "\n", mark["said"] if mark else None)
            )
            opened = None
        elif opened is None and line.startswith(("    ", "\t")) and not lines[number - 1].strip():
            found.append(Block(file, number, "indented", line, None))
    return [*found, Block(file, begin, "open", "", None)] if opened else found


def faults(block: Block, root: Path) -> list[str]:
    """What is wrong with a block: one line with the fix, or nothing."""
    if block.language in ("indented", "open", ""):
        what = {"indented": "is indented", "open": "is not closed", "": "names no language"}[block.language]
        return [f"{block}: the block {what}; write ```{COMMANDS} (or text, yaml, …) around it"]
    if block.language not in {COMMANDS, *OTHERS}:
        return [
            f"{block}: {block.language} is no language here; write {COMMANDS} or {', '.join(sorted(OTHERS))}"
        ]
    if block.mark is not None:
        return _mark_faults(block, root)
    if block.language == COMMANDS:
        return [f"{block}: nobody says who runs it; write <!-- run: … --> or <!-- not run: needs … --> above"]
    typed = [line.strip() for line in block.text.splitlines() if _TYPED.match(line)]
    return [
        f"{block}: {line!r} looks like a command; make the block {COMMANDS}, or mark it" for line in typed[:1]
    ]


def _mark_faults(block: Block, root: Path) -> list[str]:
    place = block.place
    if place is None:
        if re.match(r"^not run: needs \S.{4,}$", block.mark or ""):
            return []
        return [f"{block}: {block.mark!r} gives no reason; write <!-- not run: needs … -->"]
    rest = (block.mark or "").removeprefix(f"run: {place}")
    if not re.fullmatch(r"(, with( [A-Z]+=[^\s,]+)+)?(, exit( \d+)+)?", rest):
        return [f"{block}: {rest!r} is not understood; write <!-- run: PLACE, with NAME=VALUE, exit N -->"]
    if place in PLACES:
        return []
    if not (root / place).is_file():
        return [f"{block}: {place} is no place and no file; places are {', '.join(PLACES)}"]
    there = (root / place).read_text()
    return [
        f"{block}: {place} does not run {command!r}" for command in block.commands if command not in there
    ]
