"""The checkout that a command works on: inventories/, files/ and kubernetes/ are found in it."""

from __future__ import annotations

import os
from pathlib import Path

from bootstrap.errors import RzpError


def find(named: str | None) -> Path:
    """`--project DIR`, else RZP_PROJECT, else upwards from the current folder."""
    asked = named or os.environ.get("RZP_PROJECT")
    if asked:
        folder = Path(asked).expanduser().resolve()
        if not _is_project(folder):
            raise RzpError(
                f"{folder}: no checkout of rzp-infra (deploys/ and inventories/ are missing); correct --project"
            )
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return folder
    raise RzpError(f"{here}: not inside a checkout of rzp-infra; cd into it or give --project DIR")


def _is_project(folder: Path) -> bool:
    return (folder / "deploys").is_dir() and (folder / "inventories").is_dir()
