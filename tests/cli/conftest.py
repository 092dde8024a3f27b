"""A desk whose lab has no machines, so that commands are tried over HTTP without root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench(new_desk: Any) -> Iterator[Any]:
    """The desk with a running lab (backend record) for the demo; each test leaves it without machines."""
    made = new_desk()
    made.run("rzp-bootstrap", "lab", "start", "--backend", "record")
    yield made
    made.run("rzp-bootstrap", "lab", "stop")


@pytest.fixture
def empty(bench: Any) -> Iterator[Any]:
    """The bench, emptied of the environment's machines afterwards."""
    yield bench
    if bench.api("GET", "/nodes/pve1/qemu"):
        bench.run("rzp-bootstrap", "destroy", "demo", "--confirm-destroy", "demo", expect=None)
