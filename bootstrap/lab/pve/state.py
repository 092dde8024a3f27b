"""What survives the daemon, even kill -9: one SQLite file of JSON values, written through at every change.

The write-ahead log without fsync survives the death of the process, not of the host; the lab needs no more.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Store:
    """Values by kind and key. The owners of the values keep them in memory; this is their shadow on disk."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=OFF")
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS state (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )

    def load(self, kind: str) -> dict[str, Any]:
        rows = self._base.execute("SELECT key, value FROM state WHERE kind = ?", (kind,))
        return {key: json.loads(value) for key, value in rows}

    def put(self, kind: str, key: str, value: Any) -> None:
        self._base.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (kind, key, json.dumps(value)))

    def drop(self, kind: str, key: str) -> None:
        self._base.execute("DELETE FROM state WHERE kind = ? AND key = ?", (kind, key))

    def close(self) -> None:
        self._base.close()
