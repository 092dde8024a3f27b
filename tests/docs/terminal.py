"""A terminal of a fixed size in which commands are run as typed, and questions are answered as a user answers them."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.screen import Screen, plain

COLUMNS, ROWS = 110, 50
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended, and all that was written on the screen."""

    status: int
    screen: str

    @property
    def coloured(self) -> list[str]:
        """The lines as they stood at last, with their colours."""
        return Screen(self.screen).lines

    @property
    def lines(self) -> list[str]:
        """The same without colours."""
        return [plain(line) for line in self.coloured]


def run(
    argv: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    answers: Mapping[str, str] | None = None,
    limit: float = 300,
) -> Ran:
    """Run a command in a terminal. `answers`: the end of a question (a pattern) → what is typed then."""
    here, there = os.openpty()
    termios.tcsetwinsize(there, (ROWS, COLUMNS))
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=dict(variables) | {"TERM": "xterm-256color"},
        stdin=there,
        stdout=there,
        stderr=there,
        start_new_session=True,
    )
    os.close(there)
    try:
        screen = _follow(here, answers or {}, time.monotonic() + limit)
        status = process.wait(timeout=10)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(here)
    return Ran(status, screen)


def _follow(here: int, answers: Mapping[str, str], deadline: float) -> str:
    """Read to the end and answer what is asked."""
    screen, answered = b"", 0
    while time.monotonic() < deadline:
        if not select.select([here], [], [], 0.5)[0]:
            continue
        try:
            read = os.read(here, 65536)
        except OSError:  # Linux: everybody has closed it
            read = b""
        if not read:
            return screen.decode(errors="replace")
        screen += read
        asked = _ESCAPE.sub("", screen[answered:].decode(errors="replace"))
        for question, answer in answers.items():
            if re.search(f"{question}$", asked):
                answered = len(screen)
                os.write(here, f"{answer}\n".encode())
    raise TimeoutError(f"still running: {screen[-2000:].decode(errors='replace')}")
