"""`python -m tests.benchmarks.unchanged [MACHINES]`: a plan of 500 machines in which nothing is to be done.

Calls and seconds of reading, by the number of threads (`proxmox.parallel`): against the lab as it is, and against one that takes
20 ms for each machine's configuration, as a Proxmox behind a network may. The ratio is to one thread of the same run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.plan import diff
from bootstrap.proxmox.read import observe
from bootstrap.proxmox.session import Client
from tests.benchmarks import fleet
from tests.benchmarks.table import say, show
from tests.bootstrap.conftest import Lab, running_lab

_DELAY = 0.02
_THREADS = (1, 3, 8)
_ROUNDS = 3


def plan(lab: Lab, parallel: int) -> tuple[int, float, float]:
    """Calls, seconds of reading, seconds of comparing."""
    environment = lab.environment.model_copy(
        update={"proxmox": lab.environment.proxmox.model_copy(update={"parallel": parallel})}
    )
    client = Client(lab.login)
    began = time.monotonic()
    seen = observe(client, environment, lab.machines)
    read = time.monotonic()
    found = diff("demo", lab.machines, seen, image="", image_storage="local")
    ended = time.monotonic()
    if found.changes or found.conflicts:
        raise SystemExit(f"the plan has {len(found.changes)} changes and should have none")
    return len(client.calls), read - began, ended - read


def rows(lab: Lab, latency: float) -> list[list[object]]:
    """A row per number of threads, medians of several rounds in which each number has its turn."""
    faults.clear(lab.state)
    if latency:
        delay = FaultRule(kind="delay", method="GET", path="/nodes/*/qemu/*/pending", seconds=latency)
        faults.write(lab.state, [delay])
    rounds = [[plan(lab, threads) for threads in _THREADS] for _ in range(_ROUNDS)]
    made = []
    for threads, runs in zip(_THREADS, zip(*rounds, strict=True), strict=True):
        calls = {run[0] for run in runs}
        ratio = median(one[1] / run[1] for one, run in zip((turn[0] for turn in rounds), runs, strict=True))
        shown = (median(run[1] for run in runs), median(run[2] for run in runs), ratio)
        made.append([f"{latency * 1000:.0f} ms", threads, *sorted(calls), *shown])
    return made


def main(machines: int = 500) -> None:
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder) / "lab") as lab:
        lab.environment = fleet.environment(lab.endpoint, machines)
        say(f"making {machines} machines in the lab")
        fleet.furnish(lab, lab.machines)
        head = ("latency", "threads", "calls", "read s", "compare s", "times faster")
        show(f"unchanged plan of {machines} machines", head, [*rows(lab, 0.0), *rows(lab, _DELAY)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
