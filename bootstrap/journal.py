"""Journal: what one run did, as JSON lines in the user's state folder; to be read after a failure. Nothing secret is in it.

Each line has `at` (seconds since the epoch) and `what`: run, plan, call (method, path, seconds, and status or fault, and the
UPID of the task that it started), step, end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from bootstrap.errors import RzpError

_KEPT = 50


def folder(environment: str) -> Path:
    """Where the journals of an environment are: XDG_STATE_HOME, else ~/.local/state."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "rzp-infra" / "runs" / environment


def writable(place: Path) -> BinaryIO:
    """A file in an environment's folder, 0600, to be appended to; every write goes out at once. RzpError: it cannot be had."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.fdopen(os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise RzpError(
            f"{error.filename or place}: {error.strerror}; runs are locked and written down there: make it writable"
            " (chown after a run under sudo), or set XDG_STATE_HOME to another folder"
        ) from None


@dataclass
class Journal:
    """One run's file, 0600. Threads write into it; every line is there when the process is killed after it.

    A run that has begun is worth more than its journal: `fault` says why lines are missing, and nothing is raised.
    """

    path: Path
    _file: BinaryIO
    fault: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, environment: str, **about: Any) -> Journal:
        """A new file, named after the time; the oldest of more than 50 go."""
        place = folder(environment)
        for old in sorted(place.glob("*.jsonl"))[: -(_KEPT - 1)]:
            old.unlink(missing_ok=True)
        name = f"{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.jsonl"
        journal = cls(place / name, writable(place / name))
        journal.write("run", environment=environment, pid=os.getpid(), **about)
        return journal

    def write(self, what: str, **values: Any) -> None:
        line = json.dumps({"at": round(time.time(), 3), "what": what, **values}, default=str)
        try:
            with self._lock:
                self._file.write(f"{line}\n".encode())
        except OSError as error:
            self.fault = error.strerror or str(error)

    def close(self) -> None:
        self._file.close()
