"""One process knows thousands of machines: a list costs work in proportion to its length, and nothing is read from disk for it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import make_mocked_request

from bootstrap.lab.backend import Record
from bootstrap.lab.pve import cluster, context, qemu, site
from bootstrap.lab.pve.access import Identity
from bootstrap.lab.pve.machines import Machines
from bootstrap.lab.pve.routes import Call
from bootstrap.lab.pve.state import Store

if TYPE_CHECKING:
    from collections.abc import Callable

MACHINES = 2000


def furnish(store: Store, number: int) -> None:
    machines = Machines(store)
    for vmid in range(1000, 1000 + number):
        machine = machines.claim("pve1", vmid)
        machine.config = {
            "name": f"vm{vmid}",
            "cores": "2",
            "memory": "2048",
            "scsi0": f"vmdata:{vmid}/vm-{vmid}-disk-0.raw,size=4G",
        }
        machines.save(machine)


def test_two_thousand_machines_are_listed(
    tmp_path: Path,
    plan: dict[str, Any],
    start_lab: Callable[[dict[str, Any]], dict[str, Any]],
    connect: Callable[[dict[str, Any]], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = tmp_path / "lab"
    state.mkdir()
    store = Store(state / "state.sqlite")
    furnish(store, MACHINES)
    store.close()
    api = connect(start_lab({**plan, "statistics_interval": 0}))
    api.version.get()
    began = time.monotonic()
    assert len(api.cluster.resources.get(type="vm")) == MACHINES
    assert len(api.nodes("pve1").qemu.get()) == MACHINES
    assert api.cluster.nextid.get() == "100"
    with capsys.disabled():
        sys.stdout.write(f"\n{MACHINES} machines listed twice in {time.monotonic() - began:.2f} s\n")


def work(state: Path, plan: dict[str, Any], number: int) -> tuple[int, int]:
    """How many calls of functions, and how many SQL statements, both lists and the next VMID take."""
    state.mkdir()
    store = Store(state / "state.sqlite")
    furnish(store, number)
    store.close()
    plan = plan | {"statistics_interval": 0}
    lab = context.make(state, plan, Record(), fingerprint="", files="", loopback_files="")
    site.furnish(lab)
    user, _, token = plan["token_id"].partition("!")
    who, request = Identity(user=user, token=token), make_mocked_request("GET", "/")
    calls: list[str] = []
    statements: list[str] = []

    def note(_: FrameType, event: str, __: Any) -> None:
        if event == "call":
            calls.append(event)

    async def lists() -> None:
        for endpoint in (cluster.resources, qemu.machines, cluster.next_id):
            await endpoint(Call(lab=lab, who=who, path={"node": "pve1"}, params={}, request=request))

    lab.store._base.set_trace_callback(statements.append)
    with asyncio.Runner() as runner:
        sys.setprofile(note)
        try:
            runner.run(lists())
        finally:
            sys.setprofile(None)
    lab.store.close()
    return len(calls), len(statements)


def test_four_times_the_machines_are_four_times_the_work_and_no_reading(
    tmp_path: Path, plan: dict[str, Any]
) -> None:
    few, none = work(tmp_path / "few", plan, MACHINES // 4)
    many, nothing = work(tmp_path / "many", plan, MACHINES)
    assert many <= 4 * few
    assert (none, nothing) == (0, 0)
