"""Every request that the lab was sent, one JSON object a line in <state>/requests.jsonl: what was asked, never with which values.

time (seconds since the epoch), client (address and port), method, path, params (names only), status (null: the connection was closed),
upid of the task it began, faults (id and kind of the rules that it met).
"""

from __future__ import annotations

import json
import os
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from bootstrap.lab.faults import FaultRule

FILE = "requests.jsonl"
LARGEST = 8 << 20  # bytes; then the file becomes requests.jsonl.1, and an older one of that name goes
LONGEST = 400  # characters of a path

_remarks: ContextVar[dict[str, Any] | None] = ContextVar("remarks", default=None)


def begin() -> None:
    """A new request is in hand."""
    _remarks.set({})


def remark(**values: Any) -> None:
    """What is known of the request in hand beside its first line."""
    remarks = _remarks.get()
    if remarks is not None:
        remarks.update(values)


class RequestLog:
    def __init__(self, state: Path, *, largest: int = LARGEST) -> None:
        self._file = state / FILE
        self._largest = largest

    def note(
        self,
        request: web.Request,
        response: web.StreamResponse | None,
        client: str | None,
        picked: list[FaultRule],
    ) -> None:
        entry = {
            "time": round(time.time(), 6),
            "client": client,
            "method": request.method,
            "path": request.path[:LONGEST],
            "params": [],
            "status": response.status if response else None,
            **(_remarks.get() or {}),
        }
        entry |= {"faults": [f"{rule.id} {rule.kind}" for rule in picked]} if picked else {}
        self._append(json.dumps(entry).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            full = os.fstat(descriptor).st_size > self._largest
        finally:
            os.close(descriptor)
        if full:
            self._file.replace(self._file.with_name(f"{FILE}.1"))
