"""Production on three nodes of the lab: created, changed and destroyed; a node that is off, and a machine that was moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bootstrap import status
from bootstrap.config.base import Environment
from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.plan import Plan, destroy
from bootstrap.proxmox import tasks
from tests.bootstrap.conftest import Lab, running_lab

NODES = ["pve1", "pve2", "pve3"]


@pytest.fixture
def production_lab(tmp_path_factory: pytest.TempPathFactory, production: Environment) -> Iterator[Lab]:
    """Production's machines, made, finished and running."""
    state = tmp_path_factory.mktemp("nodes") / "lab"
    plan: dict[str, Any] = {"nodes": NODES, "pace": 0.005, "environment": "production"}
    with running_lab(state, **plan, image_filename=production.image.filename) as running:
        running.environment = production
        assert running.apply(running.plan()).failures == {}
        yield running


def _destroy(lab: Lab) -> Plan:
    return destroy("production", lab.observe(), lab.machines)


def _powers(lab: Lab) -> dict[str, str]:
    rows = status.rows("production", lab.machines, lab.observe())
    return {row.name.removeprefix("production-"): row.state for row in rows}


def test_production_is_created_spread_changed_and_destroyed(production_lab: Lab) -> None:
    lab = production_lab
    assert {vm.vmid: vm.node for vm in lab.observe().vms} == dict(
        zip([220, 221, 222, 230, 231, 232], NODES * 2, strict=True)
    )

    wanted = tuple(replace(machine, memory_mib=machine.memory_mib * 2) for machine in lab.machines)
    changed = lab.plan(wanted, reboot=True)
    assert [change.verb for change in changed.changes] == ["change", "reboot"] * 6
    assert lab.apply(changed).failures == {}
    assert lab.plan(wanted, reboot=True).changes == ()

    refused = lab.apply(_destroy(lab)).failures
    assert len(refused) == 6
    assert "is protected and was not touched" in str(refused["production-agent-1"])
    for vm in lab.observe().vms:
        lab.root().put(f"/nodes/{vm.node}/qemu/{vm.vmid}/config", {"protection": False})
    assert lab.apply(_destroy(lab)).failures == {}
    assert lab.observe().vms == ()


def test_a_node_that_is_off_hides_its_machines_and_no_others(production_lab: Lab) -> None:
    lab = production_lab
    wanted = tuple(replace(machine, description="another") for machine in lab.machines)
    faults.write(lab.state, [FaultRule(kind="node-down", path="/nodes/pve2")])

    plan = lab.plan(wanted)

    assert [change.verb for change in plan.changes] == ["change"] * 4
    assert plan.unjudged == tuple(
        f"{name} (VMID {vmid}) on pve2: the node is not reached; switch it on and run again"
        for name, vmid in (("production-server-2", 221), ("production-agent-2", 231))
    )
    assert lab.apply(plan).failures == {}
    assert _powers(lab)["agent-2"] == "unknown"
    assert _powers(lab)["agent-3"] == "running"
    assert len(_destroy(lab).unjudged) == 2

    faults.clear(lab.state)
    assert [change.verb for change in lab.plan(wanted).changes] == ["change"] * 2


def test_a_machine_is_not_created_on_a_node_that_is_off(production_lab: Lab) -> None:
    lab = production_lab
    faults.write(lab.state, [FaultRule(kind="node-down", path="/nodes/pve3")])
    agent = lab.environment.agents[0].model_copy(update={"count": 4, "nodes": ("pve3",)})
    lab.environment = lab.environment.model_copy(update={"agents": (agent,)})

    plan = lab.plan()

    assert [change.verb for change in plan.changes] == []
    assert any(text.startswith("production-agent-4 (VMID 233) on pve3") for text in plan.unjudged)


def test_a_machine_that_was_moved_is_found_where_it_is(production_lab: Lab) -> None:
    lab, root = production_lab, production_lab.root()
    asked = {"target": "pve3", "online": True, "with-local-disks": True}
    tasks.wait(root, root.post("/nodes/pve1/qemu/220/migrate", asked), limit=20)

    plan = lab.plan()
    assert plan.changes == ()
    assert plan.notes == ("production-server-1 runs on pve3 (placed on pve1); it stays there",)

    wanted = (replace(lab.machines[0], cores=1, description="moved"), *lab.machines[1:])
    assert lab.apply(lab.plan(wanted, reboot=True)).failures == {}
    assert lab.plan(wanted, reboot=True).changes == ()
    root.put("/nodes/pve3/qemu/220/config", {"protection": False})
    assert "production-server-1" not in lab.apply(_destroy(lab)).failures
    assert 220 not in [vm.vmid for vm in lab.observe().vms]


def test_a_machine_that_is_moved_between_plan_and_apply_is_found_where_it_is(production_lab: Lab) -> None:
    lab, root = production_lab, production_lab.root()
    root.put("/nodes/pve1/qemu/230/config", {"protection": False})
    server = replace(lab.machines[0], description="moved")
    wanted = (server, *(machine for machine in lab.machines[1:] if machine.vmid != 230))
    plan = lab.plan(wanted)
    assert [change.verb for change in plan.changes] == ["change", "delete"]
    for vmid in (220, 230):
        asked = {"target": "pve2", "online": True, "with-local-disks": True}
        tasks.wait(root, root.post(f"/nodes/pve1/qemu/{vmid}/migrate", asked), limit=20)

    assert lab.apply(plan).failures == {}

    assert 230 not in [vm.vmid for vm in lab.observe().vms], "it was not taken for gone"
    assert lab.plan(wanted).changes == ()
