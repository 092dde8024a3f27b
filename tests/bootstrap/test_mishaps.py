"""Every fault of the lab, at every call of a create, a change and a destroy: the run converges or stops with place and fix.

In either case the independent machines go on, nothing but our own errors comes out, and the next run finishes the work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bootstrap.errors import RzpError
from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.sshprobe import Sighting
from tests.bootstrap import victim
from tests.bootstrap.conftest import Hosts, Lab, running_lab
from tests.bootstrap.test_killed import FLOWS, prepare, wrongs

READS: dict[str, dict[str, Any]] = {
    "a pause": {"kind": "delay", "seconds": 0.1},
    "a connection dropped": {"kind": "drop-before"},
    "a dropped answer": {"kind": "drop-after"},
    "500": {"kind": "status", "status": 500, "text": "unable to open file - Input/output error"},
    "595": {"kind": "status", "status": 595},
    "596": {"kind": "status", "status": 596},
}
WRITES = READS | {
    "596 and done": {"kind": "status", "status": 596, "after": True},
    "a failing task": {"kind": "task-fail"},
    "a task that fails at its end": {"kind": "task-fail", "after": True},
    "a full storage": {"kind": "storage-full"},
    "a lock": {"kind": "locked"},
    "a lock file held by another": {"kind": "busy"},
}


@pytest.fixture(scope="module")
def quick_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("mishaps") / "lab", pace=0.01) as running:
        yield running


def _places(lab: Lab, flow: str) -> list[tuple[str, str]]:
    """The calls of an undisturbed run, tasks without their UPIDs."""
    prepare(lab, flow)
    client = lab.client()
    assert lab.apply(victim.plan(lab, flow), client).failures == {}
    calls = [(method, re.sub(r"UPID:[^/]+", "*", path)) for method, path in client.calls]
    return sorted(set(calls))


def _run(lab: Lab, flow: str) -> dict[str, str]:
    """Subject → what failed, of a whole run: reading, planning, applying."""
    try:
        plan = victim.plan(lab, flow)
        failures = {subject: str(error) for subject, error in lab.apply(plan).failures.items()}
        return failures | {text: text for text in plan.unjudged}
    except RzpError as error:
        return {"": str(error)}


def _case(lab: Lab, flow: str, rule: FaultRule) -> list[str]:
    """What is wrong with how one fault was met."""
    prepare(lab, flow)
    (written,) = faults.write(lab.state, [rule])
    failures = _run(lab, flow)
    faults.clear(lab.state)
    log = [json.loads(line) for line in (lab.state / "requests.jsonl").read_text().splitlines()]
    if not any(written.id in str(entry.get("faults")) for entry in log):
        return ["the fault was not met"]
    found = [f"says only {said!r}" for said in failures.values() if len(said) < 30 or "\n" in said]
    hit = {subject for subject in failures if "not begun" not in failures[subject]}
    hit -= {subject for subject in failures if "not rebooted" in failures[subject]}
    if len(hit) > 1:
        found.append(f"one fault, and {sorted(hit)} failed")
    again: dict[str, str] = {}
    for _ in range(2):
        again = _run(lab, flow) if wrongs(lab, flow) else {}
    return [*found, *again.values(), *wrongs(lab, flow)]


# What `make test` leaves to `make test-all`: the other flows' reads, and faults that one flow has shown already.
CORE = ("a dropped answer", "596 and done", "a failing task", "a lock")
CASES = [
    pytest.param(flow, name, marks=() if flow == "create" or name in CORE else pytest.mark.slow)
    for flow in FLOWS
    for name in WRITES
]


@pytest.mark.parametrize(("flow", "name"), CASES)
def test_every_fault_at_every_call_is_survived(
    quick_lab: Lab, flow: str, name: str, record_property: Any
) -> None:
    places = _places(quick_lab, flow)
    wrong = {}
    cases = 0
    for method, path in places:
        if method == "GET" and name not in READS:
            continue
        cases += 1
        rule = FaultRule(method=method, path=path, count=1, **WRITES[name])
        if found := _case(quick_lab, flow, rule):
            wrong[f"{method} {path}"] = found

    record_property("cases", cases)
    assert cases >= 3
    assert wrong == {}


@pytest.mark.parametrize("name", ["500", "595", "a connection dropped"])
def test_a_fault_that_stays_ends_the_run_with_place_and_fix(quick_lab: Lab, name: str) -> None:
    wrong = {}
    for method, path in _places(quick_lab, "create"):
        prepare(quick_lab, "create")
        faults.write(quick_lab.state, [FaultRule(method=method, path=path, **READS[name])])
        failures = _run(quick_lab, "create")
        faults.clear(quick_lab.state)
        places = (
            path.split("*", maxsplit=1)[0],
            "Proxmox is not reached",
            "the node is not reached",
            "not begun",
        )
        if not failures or not all(any(p in said for p in places) for said in failures.values()):
            wrong[f"{method} {path}"] = [*failures.values()] or ["it was not noticed"]
        again = _run(quick_lab, "create")
        if left := [*again.values(), *wrongs(quick_lab, "create")]:
            wrong[f"{method} {path}, afterwards"] = left

    assert wrong == {}


def test_a_guest_that_never_boots_is_named_with_its_console_and_the_other_is_finished(quick_lab: Lab) -> None:
    prepare(quick_lab, "create")
    faults.write(quick_lab.state, [FaultRule(kind="never-boots", path="/nodes/*/qemu/930/status/start")])

    class Ports(Hosts):
        """The port of a machine that never boots is silent."""

        def look(self, address: str) -> Sighting:
            silent = address.endswith(".30") and faults.read(quick_lab.state)
            return Sighting(None if silent else self.key, "port 22 does not answer")

    quick_lab.hosts = Ports()
    failures = quick_lab.apply(victim.plan(quick_lab, "create"), key_limit=0.3).failures

    assert list(failures) == ["demo-agent-1"]
    assert "look at the console of VM 930 on pve1, then run again" in str(failures["demo-agent-1"])
    assert [vm.seed is None for vm in quick_lab.observe().vms] == [True, False]
    faults.clear(quick_lab.state)
    assert _run(quick_lab, "create") == {}
    assert wrongs(quick_lab, "create") == []


def test_the_only_node_that_is_off_is_one_line(quick_lab: Lab) -> None:
    prepare(quick_lab, "create")
    faults.write(quick_lab.state, [FaultRule(kind="node-down", path="/nodes/pve1")])
    (said,) = _run(quick_lab, "create").values()
    faults.clear(quick_lab.state)

    assert "Proxmox is not reached" in said
    assert _run(quick_lab, "create") == {}
