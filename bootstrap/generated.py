"""A generated file: written only when its content differs, so that a second run changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """A generated file and whether the one on disk is different."""

    path: Path
    text: str

    @property
    def stale(self) -> bool:
        return not self.path.exists() or self.path.read_text() != self.text

    def write(self) -> bool:
        """Write when different; True when something was written. A full disk leaves the old file as it was."""
        if not self.stale:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.new")
        temporary.write_text(self.text)
        temporary.replace(self.path)
        return True
