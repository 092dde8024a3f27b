"""One process knows thousands of machines and answers at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.machines import Machines
from bootstrap.lab.pve.state import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_two_thousand_machines_are_listed_in_a_moment(
    tmp_path: Path,
    plan: dict[str, Any],
    start_lab: Callable[[dict[str, Any]], dict[str, Any]],
    connect: Callable[[dict[str, Any]], Any],
) -> None:
    state = tmp_path / "lab"
    state.mkdir()
    store = Store(state / "state.sqlite")
    machines = Machines(store)
    for vmid in range(1000, 3000):
        machine = machines.claim("pve1", vmid)
        machine.config = {
            "name": f"vm{vmid}",
            "cores": "2",
            "memory": "2048",
            "scsi0": f"vmdata:{vmid}/vm-{vmid}-disk-0.raw,size=4G",
        }
        machines.save(machine)
    store.close()
    api = connect(start_lab({**plan, "statistics_interval": 0}))
    api.version.get()
    began = time.monotonic()
    assert len(api.cluster.resources.get(type="vm")) == 2000
    assert len(api.nodes("pve1").qemu.get()) == 2000
    assert api.cluster.nextid.get() == "100"
    assert time.monotonic() - began < 2
