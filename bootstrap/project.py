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
        return _own(folder)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return _own(folder)
    raise RzpError(f"{here}: not inside a checkout of rzp-infra; cd into it or give --project DIR")


def _own(folder: Path) -> Path:
    """The environments are imported from where this program is installed, so that has to be the same checkout."""
    home = Path(__file__).resolve().parents[1]
    if folder.resolve() != home:
        raise RzpError(
            f"{folder}: this rzp-bootstrap belongs to the checkout {home}; use {folder}/.venv/bin/rzp-bootstrap"
        )
    return folder


def _is_project(folder: Path) -> bool:
    return (folder / "deploys").is_dir() and (folder / "inventories").is_dir()
