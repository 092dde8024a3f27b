"""Running a system tool: its output, or a LabError with what it said."""

from __future__ import annotations

import subprocess

from bootstrap.errors import LabError

LIMIT = 30.0
"""Seconds; every tool used here takes milliseconds, and one that hangs must not hang the lab."""


def run(*argv: str, given: str | None = None) -> str:
    """The standard output of a command; `given` is its standard input."""
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=LIMIT, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]}: not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: no end after {LIMIT:.0f} s") from error
    if done.returncode:
        raise LabError(
            f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout
