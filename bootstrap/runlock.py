"""One run at a time changes an environment from this computer. Between computers Proxmox decides: by VMID and by digest."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bootstrap.errors import RzpError
from bootstrap.journal import folder, writable


@contextmanager
def held(environment: str) -> Iterator[None]:
    """Hold the environment's lock; who comes second gets one line. The lock goes with the process that holds it."""
    with writable(folder(environment) / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RzpError(
                f"{environment}: {_holder(lock.read().decode())} is changing it; wait for it to end"
            ) from None
        with suppress(OSError):  # a full disk: who comes second is not told who was first
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "since": time.strftime("%H:%M:%S")}).encode())
        yield


def _holder(text: str) -> str:
    try:
        known = json.loads(text)
        return f"another run (pid {known['pid']}, since {known['since']})"
    except (ValueError, KeyError, TypeError):
        return "another run"
