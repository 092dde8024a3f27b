"""Changes in place, against the lab without machines: what is written, what waits for a reboot, and what is never touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.change import Reboot
from bootstrap.errors import ImpossiblePlan, RzpError, WaitTimeout
from bootstrap.machine import Disk, Machine
from bootstrap.plan import Plan, destroy
from bootstrap.proxmox import tasks

SERVER, AGENT = "/nodes/pve1/qemu/920", "/nodes/pve1/qemu/930"


@pytest.fixture
def made(lab: Any) -> Any:
    """The lab with both machines, finished and running."""
    assert lab.apply(lab.plan()).failures == {}
    return lab


def _config(lab: Any, path: str, **query: Any) -> dict[str, Any]:
    return dict(lab.root().get(f"{path}/config", query))


def _wanted(lab: Any, change: Callable[[Machine], Machine]) -> tuple[Machine, ...]:
    """The machines, the agent another than before."""
    server, agent = lab.machines
    return (server, change(agent))


def _put(lab: Any, path: str, **values: Any) -> None:
    root = lab.root()
    tasks.wait(root, root.post(f"{path}/config", values), limit=10)


def _texts(plan: Plan) -> list[str]:
    return [str(change) for change in plan.changes]


IN_PLACE: dict[str, tuple[Callable[[Machine], Machine], dict[str, Any]]] = {
    "cores": (lambda m: replace(m, cores=2), {"cores": 2}),
    "memory": (lambda m: replace(m, memory_mib=2048), {"memory": "2048"}),
    "CPU type": (lambda m: replace(m, cpu_type="host"), {"cpu": "host"}),
    "description": (
        lambda m: replace(m, description="Storage – and more\nsecond line"),
        {"description": "Storage – and more\nsecond line"},
    ),
    "protection": (lambda m: replace(m, protection=True), {"protection": 1}),
    "VLAN": (lambda m: replace(m, vlan=7), {"net0": "virtio=BC:24:11:B2:EF:1A,bridge=vmbr0,tag=7"}),
    "a further disk": (
        lambda m: replace(m, disks=(*m.disks, Disk(slot="scsi3", storage="vmdata", gib=2, mount="/srv"))),
        {"scsi3": "vmdata:930/vm-930-disk-2.raw,discard=on,iothread=1,size=2G,ssd=1"},
    ),
    "a larger disk": (
        lambda m: replace(m, disks=(m.disks[0], replace(m.disks[1], gib=3))),
        {"scsi2": "vmdata:930/vm-930-disk-1.raw,discard=on,iothread=1,size=3G,ssd=1"},
    ),
}


@pytest.mark.parametrize(("change", "expected"), IN_PLACE.values(), ids=IN_PLACE)
def test_a_change_is_made_in_place_and_the_second_plan_is_empty(
    made: Any, change: Callable[[Machine], Machine], expected: dict[str, Any]
) -> None:
    wanted = _wanted(made, change)
    before = _config(made, AGENT)
    plan = made.plan(wanted)
    assert [c.verb for c in plan.changes] == ["change"]

    assert made.apply(plan).failures == {}

    after = _config(made, AGENT)
    assert {key: after[key] for key in expected} == expected
    moved = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} - {"digest"}
    assert moved == expected.keys()
    assert made.plan(wanted).changes == ()
    assert [vm.running for vm in made.observe().vms] == [True, True]


def test_what_somebody_changed_by_hand_is_put_right_and_what_is_theirs_stays(made: Any) -> None:
    mac = made.machines[1].mac
    _put(made, AGENT, onboot=0, tags="backup;rzp;rzp-demo")
    _put(made, AGENT, net0=f"virtio={mac},bridge=vmbr0,firewall=1,queues=2,tag=9", scsi9="vmdata:1")

    plan = made.plan()
    assert _texts(plan) == [
        (
            "change demo-agent-1 (VMID 930): onboot: no → yes; net0 tag: 9 → not set;"
            " tags: backup;rzp;rzp-demo → agent;backup;rzp;rzp-demo"
        )
    ]
    assert made.apply(plan).failures == {}

    after = _config(made, AGENT)
    assert after["tags"] == "agent;backup;rzp;rzp-demo"
    assert after["net0"] == f"virtio={mac},bridge=vmbr0,firewall=1,queues=2"
    assert "scsi9" in after


def test_what_waits_for_a_reboot_is_applied_shown_as_pending_and_rebooted_only_when_asked(made: Any) -> None:
    wanted = _wanted(made, lambda m: replace(m, cores=2))
    made.apply(made.plan(wanted))

    assert _config(made, AGENT, current=1)["cores"] == 1
    quiet = made.plan(wanted)
    assert (quiet.changes, len(quiet.notes)) == ((), 1)
    assert "demo-agent-1 waits for a reboot: cores: 1 → 2" in quiet.notes[0]

    asked = made.plan(wanted, reboot=True)
    assert _texts(asked) == ["reboot demo-agent-1 (VMID 930) for cores: 1 → 2"]
    assert made.apply(asked).failures == {}

    assert _config(made, AGENT, current=1)["cores"] == 2
    again = made.plan(wanted, reboot=True)
    assert (again.changes, again.notes) == ((), ())


def test_what_somebody_set_for_the_next_start_is_withdrawn_and_needs_no_reboot(made: Any) -> None:
    _put(made, AGENT, cores=6, machine="pc")

    plan = made.plan(reboot=True)
    assert _texts(plan) == ["change demo-agent-1 (VMID 930): cores: 6 → 1; machine: pc → q35"]
    assert made.apply(plan).failures == {}

    assert not [entry for entry in made.root().get(f"{AGENT}/pending") if "pending" in entry]
    assert made.plan(reboot=True).changes == ()


def test_machines_are_rebooted_one_after_the_other(made: Any) -> None:
    wanted = tuple(replace(machine, cores=2) for machine in made.machines)
    plan = made.plan(wanted, reboot=True)
    assert [c.verb for c in plan.changes] == ["change", "reboot", "change", "reboot"]
    made.events.clear()

    assert made.apply(plan).failures == {}

    ended = [event.subject for event in made.events if event.done]
    assert ended[2:] == ["demo-server-1", "demo-agent-1"]
    rebooting = [e.subject for e in made.events if "shuts down" in e.step or "starts" in e.step]
    assert rebooting == sorted(rebooting, reverse=True)
    assert made.plan(wanted, reboot=True).changes == ()


def test_a_machine_that_does_not_come_back_keeps_the_next_one_from_going(made: Any) -> None:
    wanted = tuple(replace(machine, cores=2) for machine in made.machines)
    plan = made.plan(wanted, reboot=True)
    made.hosts.key = None

    failures = made.apply(plan, key_limit=0.2).failures

    assert isinstance(failures["demo-server-1"], WaitTimeout)
    assert str(failures["demo-agent-1"]) == "demo-agent-1: not rebooted, because something failed before"
    assert _config(made, AGENT, current=1)["cores"] == 1


def test_a_server_whose_api_answered_has_to_answer_again(made: Any) -> None:
    class Forgetful:
        """The API's port answers before the reboot, and not after it; SSH does."""

        asked = 0

        def answers(self, _address: str, port: int | None = None) -> bool:
            self.asked += port == 6443
            return self.asked == 1

        def look(self, address: str) -> Any:
            return hosts.look(address)

    hosts = made.hosts
    made.hosts = Forgetful()
    wanted = (replace(made.machines[0], cores=2),)

    (error,) = made.apply(made.plan(wanted, reboot=True), key_limit=0.2).failures.values()

    assert "port 6443 of 10.77.0.20 answered before the reboot, and has not within" in str(error)


def test_a_change_is_based_on_what_is_there_and_applies_only_what_was_planned(made: Any) -> None:
    wanted = _wanted(made, lambda m: replace(m, cores=2))
    plan = made.plan(wanted)
    _put(made, AGENT, cores=2, onboot=0)

    assert made.apply(plan).failures == {}

    assert _config(made, AGENT)["onboot"] == 0, "that was not in the plan"
    assert _texts(made.plan(wanted)) == ["change demo-agent-1 (VMID 930): onboot: no → yes"]


def test_a_machine_that_is_no_longer_ours_is_not_changed(made: Any) -> None:
    plan = made.plan(_wanted(made, lambda m: replace(m, cores=2)))
    _put(made, AGENT, name="precious")

    (error,) = made.apply(plan).failures.values()

    assert isinstance(error, ImpossiblePlan)
    assert _config(made, AGENT)["cores"] == 1


def test_a_locked_machine_is_one_line_and_the_others_are_changed(made: Any) -> None:
    wanted = tuple(replace(machine, cores=2) for machine in made.machines)
    plan = made.plan(wanted)
    made.root().put(f"{AGENT}/config", {"lock": "backup"})

    failures = made.apply(plan).failures
    made.root().put(f"{AGENT}/config", {"delete": "lock", "skiplock": True})

    assert "VM is locked (backup)" in str(failures["demo-agent-1"])
    assert list(failures) == ["demo-agent-1"]
    assert _config(made, SERVER)["cores"] == 2


def test_a_disk_is_never_made_smaller_nor_a_card_given_another_mac(made: Any) -> None:
    wanted = _wanted(made, lambda m: replace(m, disks=(replace(m.disks[0], gib=5), m.disks[1])))
    _put(made, SERVER, net0="virtio=BC:24:11:00:00:01,bridge=vmbr0")
    before = [_config(made, path) for path in (SERVER, AGENT)]

    plan = made.plan(wanted)
    assert [c.verb for c in plan.changes] == ["differs", "differs"]
    made.apply(plan)

    assert [_config(made, path) for path in (SERVER, AGENT)] == before


def test_a_machine_is_replaced_only_by_its_name_and_comes_back_as_wanted(made: Any) -> None:
    wanted = _wanted(made, lambda m: replace(m, disks=(replace(m.disks[0], gib=5), m.disks[1])))

    plan = made.plan(wanted, replacing=["demo-agent-1"])
    assert [c.verb for c in plan.changes] == ["delete", "create"]
    assert made.apply(plan).failures == {}

    assert made.observe().vms[1].disks["scsi0"] == 5
    assert made.plan(wanted).changes == ()


def test_a_disk_that_appears_after_the_plan_keeps_the_machine(made: Any) -> None:
    plan = destroy("demo", made.observe(), made.machines)
    _put(made, AGENT, virtio3="vmdata:1")

    failures = made.apply(plan).failures

    assert "got virtio3 since the plan was made" in str(failures["demo-agent-1"])
    assert [vm.vmid for vm in made.observe().vms] == [930]


def test_a_change_and_a_reboot_are_told_with_their_calls(made: Any) -> None:
    client = made.client()
    wanted = _wanted(made, lambda m: replace(m, cores=2, memory_mib=2048))

    made.apply(made.plan(wanted), client)

    calls = [(method, path.removeprefix(f"{AGENT}/")) for method, path in client.calls]
    assert calls[0] == ("GET", "/nodes/pve1/tasks")
    assert calls[1:] == [("GET", "pending"), ("PUT", "config"), ("GET", "pending"), ("GET", "pending")]
    assert isinstance(made.plan(wanted, reboot=True).changes[0], Reboot)
    assert issubclass(ImpossiblePlan, RzpError)
