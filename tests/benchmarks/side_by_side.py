"""`python -m tests.benchmarks.side_by_side [MACHINES]`: this project and Ansible's community.proxmox do the same on the same lab.

Five machines from an imported image, grown and started, three at a time, tasks of one second; then the same run again; then
once more after somebody has switched one machine's `onboot` off. Both are whole processes. This project also uploads, ejects
and deletes a seed for every machine, which Ansible is not asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootstrap.proxmox import images
from bootstrap.proxmox.session import Client
from tests.benchmarks import fleet
from tests.benchmarks.playbook import OFFSET, NoAnsible, Playbook
from tests.benchmarks.requestlog import Requests
from tests.benchmarks.table import say, show
from tests.bootstrap.conftest import Lab, running_lab

_PACE = 1.0
# A run: how many results it calls changed, and how many it has.
Run = Callable[[], tuple[int, int]]


@dataclass(frozen=True)
class Bench:
    lab: Lab
    rows: list[list[object]]

    def measure(self, tool: str, what: str, run: Run) -> None:
        say(f"{tool}: {what}")
        Requests.forget(self.lab.state)
        began = time.monotonic()
        changed, results = run()
        wall = time.monotonic() - began
        sent = Requests.of(self.lab.state)
        self.rows.append(
            [f"{tool}, {what}", f"{changed} of {results}", sent.all, sent.polls, sent.writes, wall]
        )

    def ours(self) -> tuple[int, int]:
        """Changes, and machines."""
        command = [sys.executable, "-m", "tests.benchmarks.ours"]
        ran = subprocess.run(
            [*command, str(self.lab.state), str(len(self.lab.machines))],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        said = json.loads(ran.stdout)
        return said["changes"], said["machines"]

    def spoil(self, offset: int) -> None:
        """Somebody changes a machine by hand."""
        self.lab.root().put(
            f"/nodes/pve1/qemu/{self.lab.machines[-1].vmid + offset}/config", {"onboot": False}
        )

    def all_runs(self, tool: str, run: Run, offset: int) -> None:
        self.measure(tool, "create", run)
        self.measure(tool, "again", run)
        self.spoil(offset)
        self.measure(tool, "after drift", run)


def main(count: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder, running_lab(Path(folder) / "lab", pace=_PACE) as lab:
        lab.environment = fleet.environment(lab.endpoint, count)
        images.fetch(Client(lab.login), lab.environment, "pve1", Path())
        bench = Bench(lab, [])
        bench.all_runs("rzp-infra", bench.ours, 0)
        theirs = Playbook(lab, Path(folder))
        try:
            bench.all_runs("Ansible", theirs.run, OFFSET)
            bench.measure("Ansible", "after drift, update: true", lambda: theirs.run(update=True))
            bench.measure("Ansible", "again, update: true", lambda: theirs.run(update=True))
        except NoAnsible as reason:
            say(f"without the other side: {reason}")
        head = ("run", "changed", "calls", "polls", "writes", "wall s")
        show(f"{count} machines side by side, tasks of {_PACE:g} s", head, bench.rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
