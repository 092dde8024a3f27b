"""Requests: what a lab was sent, counted from the log that it keeps, whoever sent it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bootstrap.lab.pve.requestlog import FILE

_POLL = re.compile(r"/tasks/[^/]+/status$")


@dataclass(frozen=True, kw_only=True)
class Requests:
    """`polls`: looks at a task's status; `writes`: what is no GET; `tasks`: those that a request began."""

    all: int
    polls: int
    writes: int
    tasks: int

    @classmethod
    def of(cls, state: Path) -> Self:
        """Since the lab began, or since the last `forget`."""
        file = state / FILE
        sent = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return cls(
            all=len(sent),
            polls=sum(bool(_POLL.search(request["path"])) for request in sent),
            writes=sum(request["method"] != "GET" for request in sent),
            tasks=len({request["upid"] for request in sent if "upid" in request}),
        )

    @staticmethod
    def forget(state: Path) -> None:
        (state / FILE).unlink(missing_ok=True)
