"""How many calls a plan takes grows by one per machine, and neither threads nor their number change what is found."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.errors import ProxmoxError
from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.live import Observed
from bootstrap.plan import diff
from bootstrap.proxmox.read import observe
from tests.benchmarks import fleet


def _read(lab: Any, count: int, parallel: int) -> tuple[list[tuple[str, str]], Observed]:
    """The calls of a plan in which nothing is to be done, and what it has seen."""
    lab.environment = fleet.environment(lab.endpoint, count, parallel=parallel)
    fleet.furnish(lab, lab.machines)
    client = lab.client()
    seen = observe(client, lab.environment, lab.machines)
    assert diff("demo", lab.machines, seen, image="", image_storage="local").changes == ()
    return client.calls, seen


def test_fifty_machines_more_are_fifty_calls_more(fresh_lab: Any) -> None:
    few, _ = _read(fresh_lab, 50, 3)
    many, _ = _read(fresh_lab, 100, 3)

    assert (len(few), len(many)) == (3 + 50, 3 + 100)
    assert {method for method, _ in many} == {"GET"}


def test_several_threads_find_in_the_same_calls_what_one_finds(fresh_lab: Any) -> None:
    calls, seen = _read(fresh_lab, 50, 1)
    others, also_seen = _read(fresh_lab, 50, 4)

    assert also_seen == seen
    assert sorted(others) == sorted(calls)
    assert [vm.vmid for vm in seen.vms] == sorted(vm.vmid for vm in seen.vms)


def test_a_refusal_in_one_thread_ends_the_reading_and_is_told(fresh_lab: Any) -> None:
    _read(fresh_lab, 50, 4)
    rule = FaultRule(method="GET", path="/nodes/pve1/qemu/940/pending", kind="status", status=403, text="no")
    faults.write(fresh_lab.state, [rule])

    with pytest.raises(ProxmoxError, match="/qemu/940/pending"):
        observe(fresh_lab.client(), fresh_lab.environment, fresh_lab.machines)
