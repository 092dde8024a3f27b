"""The mark that everything of one lab carries outside its state folder, by which leftovers are found.

It is derived from the state folder, so that two labs side by side never share a name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def of(state: Path) -> str:
    """`lab-` and four hex digits."""
    return "lab-" + hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:4]


def machine(mark: str, vmid: int) -> str:
    """The name of a machine's network namespace, overlay, control group and container."""
    return f"{mark}-m{vmid}"


def switch(mark: str) -> str:
    """The name of the network namespace with the bridge and the gateways."""
    return f"{mark}-sw"
