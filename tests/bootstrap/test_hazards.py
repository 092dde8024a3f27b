"""What could do harm on a bad night, against the lab without machines: locks, protection, replacements, reboots, occupied slots."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from requests import PreparedRequest, ReadTimeout, Response
from requests.adapters import BaseAdapter

from bootstrap.errors import ImpossiblePlan, TaskFailed
from bootstrap.machine import Disk
from bootstrap.plan import destroy
from bootstrap.proxmox import images, tasks

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


def test_a_lost_answer_to_a_reboots_start_does_not_let_the_next_machine_go(made: Any) -> None:
    class Loses(BaseAdapter):
        """The start of the server happens, its answer is lost, and the server does not come up."""

        def __init__(self, real: BaseAdapter) -> None:
            super().__init__()
            self.real = real

        def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]
            answer = self.real.send(request, **options)
            if str(request.url).endswith("/qemu/920/status/start"):
                made.hosts.key = None
                answer.close()
                raise ReadTimeout("lost")
            return answer

        def close(self) -> None:
            self.real.close()

    wanted = tuple(replace(machine, cores=2) for machine in made.machines)
    plan = made.plan(wanted, reboot=True)

    failures = made.apply(plan, made.client(Loses), key_limit=0.2).failures

    assert "has not shown its host key" in str(failures["demo-server-1"])
    assert "not rebooted" in str(failures["demo-agent-1"])


def test_a_slot_that_holds_something_else_is_shown_and_not_overwritten(made: Any) -> None:
    images.upload_seed(made.root(), "pve1", "local", "tools.iso", b"tools" * 4096)
    _put(made, AGENT, scsi5="local:iso/tools.iso,media=cdrom")
    agent = made.machines[1]
    disks = (*agent.disks, Disk(slot="scsi5", storage="vmdata", gib=2, mount="/srv"))
    before = made.root().get(f"{AGENT}/pending")

    plan = made.plan((made.machines[0], replace(agent, disks=disks)))
    made.apply(plan)

    assert [change.verb for change in plan.changes] == ["differs"]
    assert "scsi5: local:iso/tools.iso → 2 GiB" in str(plan.changes[0])
    assert made.root().get(f"{AGENT}/pending") == before


def test_a_disk_that_somebody_takes_off_at_the_next_start_is_told_and_no_empty_one_put_in_its_place(
    made: Any,
) -> None:
    _put(made, AGENT, hotplug="network")
    with suppress(TaskFailed):
        _put(made, AGENT, delete="scsi2")

    plan = made.plan()

    assert plan.changes == ()
    assert "scsi2 is taken off at its next start" in plan.notes[0]
    assert "qm set 930 --revert scsi2" in plan.notes[0]


def test_a_missing_card_comes_back_with_the_address_that_the_guest_knows(made: Any) -> None:
    before = made.root().get(f"{AGENT}/config")["net0"]
    _put(made, AGENT, delete="net0")

    plan = made.plan()
    assert [change.verb for change in plan.changes] == ["change"]
    assert made.apply(plan).failures == {}

    assert made.root().get(f"{AGENT}/config")["net0"] == before
    assert made.plan().changes == ()


def test_nothing_is_deleted_when_another_machine_cannot_be_made(made: Any) -> None:
    made.apply(made.plan(made.machines[:1]))
    made.hosts.answering = frozenset({machine.address for machine in made.machines})
    plan = made.plan(replacing=["demo-server-1"])
    assert [change.verb for change in plan.changes] == ["delete", "create", "create"]

    with pytest.raises(
        ImpossiblePlan, match=r"demo-agent-1: address 10\.77\.0\.30 already answers"
    ) as caught:
        made.apply(plan)

    assert "demo-server-1" not in str(caught.value)
    assert _powers(made) == {920: True}
