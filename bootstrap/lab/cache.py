"""The folder that all labs of a user share: machine images and published files, each under a name that says its content."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """RZP_LAB_CACHE, else the user's cache folder."""
    if named := os.environ.get("RZP_LAB_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rzp-infra"
