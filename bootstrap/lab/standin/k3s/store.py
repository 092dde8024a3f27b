"""The replicated state: records by key, a revision, and a log file that survives kill -9.

Keys are `<plural>.<group>/<namespace>/<name>` for objects and `standin/<name>` for what the double itself must remember.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

Json = dict[str, Any]


@dataclass
class Batch:
    """One committed change: all of it or nothing. A record of None is a deletion."""

    revision: int
    term: int
    records: dict[str, Json | None] = field(default_factory=dict)

    def as_json(self) -> Json:
        return {"revision": self.revision, "term": self.term, "records": self.records}


class Store:
    """The records of one server, in memory and in a log file with one batch a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Json] = {}
        self.revision = self.term = 0
        self._log: TextIO | None = None
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    batch = Batch(**json.loads(line))
                except ValueError:
                    break  # the line that was being written when the machine died
                self._take(batch)
            self._rewrite()

    @property
    def position(self) -> list[int]:
        """How far this copy is; a greater one is newer, an equal one is the same."""
        return [self.term, self.revision]

    def snapshot(self) -> Json:
        return Batch(self.revision, self.term, dict(self.records)).as_json()

    def restore(self, snapshot: Json) -> None:
        self.records = {}
        self._take(Batch(**snapshot))
        self._rewrite()

    def append(self, batch: Batch) -> None:
        self._take(batch)
        if self._log is None:
            self._rewrite()
        else:
            self._log.write(json.dumps(batch.as_json(), separators=(",", ":")) + "\n")
            self._log.flush()

    def _take(self, batch: Batch) -> None:
        self.revision, self.term = batch.revision, batch.term
        for key, record in batch.records.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record

    def _rewrite(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(self.snapshot(), separators=(",", ":")) + "\n")
        new.replace(self.path)
        self._log = self.path.open("a")
