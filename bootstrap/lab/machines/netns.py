"""Doing something inside another network namespace. Linux only.

Network namespaces belong to threads, so a thread of its own enters one and ends there: no helper process is needed,
and the rest of the daemon stays where it is. (Python has os.setns from 3.12 on; this runs on 3.11.)
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000
T = TypeVar("T")


def path(name: str) -> Path:
    """Where `ip netns` keeps a namespace of this name."""
    return FOLDER / name


def inside(name: str, action: Callable[[], T]) -> T:
    """What `action` returns when it runs in the network namespace `name`."""

    def enter_and_act() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        with path(name).open() as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(path(name)))
        return action()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_act).result()
