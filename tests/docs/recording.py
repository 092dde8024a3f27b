"""`make recording`: docs/demo.txt and docs/demo.svg, what `make demo` really prints, cut to what fits beside the README.

It needs Linux and root, and runs on a copy of the checkout with a lab of its own.
"""

from __future__ import annotations

import re
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.conftest import close_desk, make_desk
from tests.docs.reader import at, follow, installed
from tests.docs.screen import plain
from tests.docs.terminal import COLUMNS

ROOT = Path(__file__).parents[2]
RECORDED, DRAWN = "docs/demo.txt", "docs/demo.svg"
CUT = "…"
# Part of the demo → its lines that are shown. A line that is cut leaves one "…".
SHOWN = {
    "The plan": r".",
    "Stage 1": r"^\$ |^(image|demo-\S+) .*\w|^wrote |^Next: ",
    "Stage 2": r"^\$ |^--> Results|^    .*\s(\d+|-)\s+(\d+|-)\s+(\d+|-)$|^    Operation ",
    "Both stages": r"^\$ |no change|Grand total",
    "What is there": r".",
}
SILENT = r"^--> (Disconnecting|Results)"  # is left out without a sign
LAST = r"^environment: "  # the outputs begin


def shown(lines: list[str]) -> list[str]:
    """Of the demo's lines (with colours) those that the recording has."""
    kept: list[str] = []
    pattern = None
    for line in lines:
        text = plain(line)
        if re.match(LAST, text) and pattern == SHOWN["What is there"]:
            break
        if text.startswith("── "):
            pattern = next((SHOWN[part] for part in SHOWN if text.startswith(f"── {part}")), None)
            kept += ["", line] if pattern else []
        elif pattern and text and re.search(pattern, text):
            kept.append(line)
        elif pattern and text and kept[-1] != CUT and not re.search(SILENT, text):
            kept.append(CUT)
    return kept[1:]


def differences(recorded: str, lines: list[str]) -> list[str]:
    """The lines of a recording that a run of the demo does not print, whatever the numbers."""
    printed = {_alike(line) for line in lines}
    return [line for line in recorded.splitlines() if line not in ("", CUT) and _alike(line) not in printed]


def _alike(line: str) -> str:
    """A line without what differs between two runs: times, numbers, which manifest of Argo CD is there."""
    named = re.sub(r"Argo CD v\S+", "Argo CD VERSION", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "N", named)).strip()


def draw(lines: list[str]) -> str:
    """An SVG of a terminal with these lines; it names no font of another host."""
    console = Console(record=True, width=COLUMNS, file=StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    return console.export_svg(title="make demo", theme=MONOKAI, code_format=FORMAT, unique_id="demo")


FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; white-space: pre }}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Run the demo's block of the README and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        desk = installed(make_desk(ROOT, Path(folder)))
        try:
            ran = follow(at("demo")[0], desk)
        finally:
            close_desk(desk)
    lines = shown(ran.coloured)
    (ROOT / RECORDED).write_text("".join(f"{plain(line)}\n" for line in lines))
    (ROOT / DRAWN).write_text(draw(lines))
    sys.stdout.write(f"wrote {RECORDED} and {DRAWN}: {len(lines)} lines\n")


if __name__ == "__main__":
    main()
