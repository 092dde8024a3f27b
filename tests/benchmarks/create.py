"""`python -m tests.benchmarks.create [PACE ...]`: 20 machines are created, four at a time, and taken to their end.

The lab's tasks take PACE seconds each, and the machines answer at once. The ideal is the longest chain of tasks: those of one machine, times
PACE, times the machines that one of the four threads has to make. Calls are split into polls of tasks and all others.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from pathlib import Path

from bootstrap.apply import apply
from bootstrap.plan import diff
from bootstrap.proxmox import images
from bootstrap.proxmox.read import observe
from bootstrap.proxmox.session import Client
from tests.benchmarks import fleet
from tests.benchmarks.requestlog import Requests
from tests.benchmarks.table import say, show
from tests.bootstrap.conftest import KEY, Lab, running_lab

_MACHINES, _PARALLEL = 20, 4
_SEED = b"seed" * 4096


def create(lab: Lab) -> float:
    """The seconds that it takes."""
    client = Client(lab.login)
    images.fetch(client, lab.environment, "pve1", Path())
    seen = observe(client, lab.environment, lab.machines)
    image = lab.environment.image.filename
    todo = diff("demo", lab.machines, seen, image=image, image_storage="local")
    Requests.forget(lab.state)
    began = time.monotonic()
    result = apply(
        todo,
        client=lambda: client,
        environment=lab.environment,
        seed=lambda _: _SEED,
        host_key=lambda _: KEY,
        probe=lab.hosts,
    )
    wall = time.monotonic() - began
    if result.failures or len(result.done) != len(lab.machines):
        raise SystemExit(f"not all machines were made: {dict(result.failures)}")
    return wall


def row(pace: float) -> list[object]:
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder) / "lab", pace=pace) as lab:
        lab.environment = fleet.environment(lab.endpoint, _MACHINES, parallel=_PARALLEL)
        wall = create(lab)
        sent = Requests.of(lab.state)
    each = sent.tasks / _MACHINES
    ideal = each * pace * math.ceil(_MACHINES / _PARALLEL)
    rest = (sent.all - sent.polls) / _MACHINES
    return [pace, f"{each:g}", ideal, wall, wall / ideal, f"{rest:g}", f"{sent.polls / sent.tasks:.1f}"]


def main(paces: tuple[float, ...] = (0.2, 0.5, 1.0, 3.0)) -> None:
    rows = []
    for pace in paces:
        say(f"creating {_MACHINES} machines, {_PARALLEL} at a time, tasks of {pace} s")
        rows.append(row(pace))
    head = ("pace s", "tasks each", "ideal s", "wall s", "wall / ideal", "calls each", "polls per task")
    show(f"create of {_MACHINES} machines, {_PARALLEL} at a time", head, rows)


if __name__ == "__main__":
    main(*([tuple(map(float, sys.argv[1:]))] if sys.argv[1:] else []))
