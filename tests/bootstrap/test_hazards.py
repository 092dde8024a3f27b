"""What could do harm on a bad night, against the lab without machines: locks, protection, replacements, reboots, occupied slots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.plan import destroy
from bootstrap.proxmox import tasks

AGENT = "/nodes/pve1/qemu/930"


@pytest.fixture
def made(lab: Any) -> Any:
    """The lab with both machines, finished and running."""
    assert lab.apply(lab.plan()).failures == {}
    return lab


def _put(lab: Any, path: str, **values: Any) -> None:
    root = lab.root()
    tasks.wait(root, root.post(f"{path}/config", values), limit=10)


def _powers(lab: Any) -> dict[int, bool]:
    return {vm.vmid: vm.running for vm in lab.observe().vms}


@pytest.mark.parametrize("flow", ["reboot", "destroy"])
def test_a_machine_that_is_being_backed_up_keeps_its_power(made: Any, flow: str) -> None:
    wanted = (made.machines[0], replace(made.machines[1], cores=2))
    made.apply(made.plan(wanted))
    plan = (
        made.plan(wanted, reboot=True)
        if flow == "reboot"
        else destroy("demo", made.observe(), made.machines[1:])
    )
    made.root().put(f"{AGENT}/config", {"lock": "backup"})

    failures = made.apply(plan).failures
    powers = _powers(made)
    made.root().put(f"{AGENT}/config", {"delete": "lock", "skiplock": True})

    assert "VM is locked (backup)" in str(failures["demo-agent-1"])
    assert powers[930]


@pytest.mark.parametrize("answers", [True, False])
def test_a_protected_machine_is_not_replaced_and_the_others_go_on(made: Any, answers: bool) -> None:
    _put(made, AGENT, protection=1)
    wanted = (replace(made.machines[0], description="new"), replace(made.machines[1], protection=True))
    plan = made.plan(wanted, replacing=["demo-agent-1"])
    if answers:
        made.hosts.answering = frozenset({made.machines[1].address})
    before = made.volumes()

    result = made.apply(plan)

    assert "is protected and was not touched" in str(result.failures["demo-agent-1"])
    assert [change.verb for change in result.done] == ["change"]
    assert made.volumes() == before
    made.root().put(f"{AGENT}/config", {"protection": False})
