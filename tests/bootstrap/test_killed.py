"""kill -9 after every single API call of a create, a change and a destroy: the next run converges, and nothing is doubled, lost or left."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap import victim
from tests.bootstrap.conftest import Lab, running_lab

FLOWS = ("create", "change", "destroy")
# `make test` kills runs for one machine, `make test-all` those for two in parallel.
COUNTS = [1, pytest.param(2, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def slow_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Its tasks take long enough to be still running when their asker dies."""
    with running_lab(tmp_path_factory.mktemp("killed") / "lab", pace=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.bootstrap.victim"])
    return context


def prepare(lab: Lab, flow: str) -> None:
    lab.empty()
    if flow != "create":
        assert lab.apply(lab.plan()).failures == {}


def wrongs(lab: Lab, flow: str) -> list[str]:
    """Whether everything is as if nobody had died."""
    machines = victim.wanted(lab, flow)
    live = {vm.vmid: vm for vm in lab.observe().vms}
    left = victim.plan(lab, flow)
    found = [f"{what} is left to do" for what in map(str, left.changes)] + [*left.conflicts, *left.notes]
    if (volumes := lab.volumes()) != lab.expected_volumes(machines):
        found.append(f"volumes {volumes}")
    if sorted(live) != [machine.vmid for machine in machines]:
        found.append(f"VMs {sorted(live)}")
    return found + [f"{vm.name}: off, or with its seed" for vm in live.values() if not vm.running or vm.seed]


def _kill(processes: Any, lab: Lab, flow: str, count: int, calls: int) -> bool:
    """Run until the call; whether the run died of it."""
    process = processes.Process(target=victim.run, args=(lab.endpoint, Path(lab.state), flow, count, calls))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return bool(process.exitcode)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_run_that_is_killed_after_any_call_is_finished_by_the_next(
    slow_lab: Lab, processes: Any, flow: str, count: int, record_property: Any
) -> None:
    victim.with_machines(slow_lab, count)
    wrong: dict[int, list[str]] = {}
    calls = 0
    while True:
        calls += 1
        prepare(slow_lab, flow)
        if not _kill(processes, slow_lab, flow, count, calls):
            break
        failures = slow_lab.apply(victim.plan(slow_lab, flow)).failures
        if left := [*map(str, failures.values()), *wrongs(slow_lab, flow)]:
            wrong[calls] = left
    record_property("kills", calls - 1)

    assert wrongs(slow_lab, flow) == [], "the run that nobody killed"
    assert calls > {"create": 12, "change": 15, "destroy": 6}[flow]
    assert wrong == {}
