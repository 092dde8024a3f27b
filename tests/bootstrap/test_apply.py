"""Carrying a plan out, against the lab without machines: what happens, in how many calls, and what a kill leaves to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from bootstrap.apply import Event
from bootstrap.change import Create, Delete, DropSeed, FetchImage, Finish, Start
from bootstrap.errors import ImpossiblePlan, RzpError, TaskFailed, WaitTimeout
from bootstrap.plan import destroy
from bootstrap.proxmox import images, machines
from bootstrap.proxmox.read import observe

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def _verbs(plan: Any) -> list[str]:
    return [change.verb for change in plan.changes]


def _volumes(lab: Any) -> list[str]:
    root = lab.root()
    found = images.content(root, "pve1", "vmdata") + images.content(root, "pve1", "local")
    return sorted(entry["volid"] for entry in found)


def _expected_volumes(lab: Any) -> list[str]:
    disks = [f"vmdata:{m.vmid}/vm-{m.vmid}-disk-{n}" for m in lab.machines for n, _ in enumerate(m.disks)]
    return sorted([images.volume(lab.environment), *disks])


def _converged(lab: Any) -> bool:
    """Every machine once, running, without its seed; nothing doubled, nothing left over, nothing to do."""
    found = [volume.split(".")[0] if volume.startswith("vmdata") else volume for volume in _volumes(lab)]
    live = lab.observe().vms
    return (
        found == _expected_volumes(lab)
        and [vm.vmid for vm in live] == [machine.vmid for machine in lab.machines]
        and all(vm.running and vm.seed is None for vm in live)
        and not lab.plan().changes
    )


@pytest.mark.parametrize("fresh_lab", [{"pve": "9.2"}, {"pve": "8.4"}], indirect=True, ids=["9.2", "8.4"])
def test_a_second_run_changes_nothing(fresh_lab: Any) -> None:
    lab = fresh_lab
    plan = lab.plan()
    assert _verbs(plan) == ["fetch", "create", "create"]

    result = lab.apply(plan)

    assert (result.failures, len(result.done)) == ({}, 3)
    assert _converged(lab)
    assert lab.plan().as_dict()["changes"] == []


def test_an_unchanged_plan_takes_three_calls_and_one_per_machine_and_only_reads(lab: Any) -> None:
    lab.apply(lab.plan())
    client = lab.client()

    observe(client, lab.environment, lab.machines)

    assert len(client.calls) == 3 + len(lab.machines)
    assert {method for method, _ in client.calls} == {"GET"}


def test_creating_a_machine_takes_seven_writes_and_two_reads_beside_its_tasks(lab: Any) -> None:
    images.fetch(lab.client(), lab.environment, "pve1", Path())
    (machine, *_) = lab.machines
    client = lab.client()

    lab.apply(lab.plan((machine,)), client)

    calls = [
        (method, path.replace("/nodes/pve1/", "")) for method, path in client.calls if "/tasks/" not in path
    ]
    assert calls == [
        ("POST", "storage/local/upload"),
        ("POST", "qemu"),
        ("GET", "qemu/920/pending"),
        ("PUT", "qemu/920/resize"),
        ("POST", "qemu/920/status/start"),
        ("GET", "qemu/920/pending"),
        ("POST", "qemu/920/config"),
        ("DELETE", "storage/local/content/local:iso/rzp-demo-server-1.iso"),
    ]


def test_each_step_is_told_with_what_it_waits_for(lab: Any) -> None:
    (machine, *_) = lab.machines
    lab.apply(lab.plan((machine,)))

    states = [event.state for event in lab.events if event.subject == machine.name]
    assert states == [
        "its seed goes up",
        "is created; waits for task qmcreate 920 on pve1, at most 900 s",
        "its disk grows to 6 GiB",
        "starts; waits for task qmstart 920 on pve1, at most 120 s",
        "boots; waits for its host key on 10.77.0.20 port 22, at most 300 s",
        "its seed is ejected",
        "its seed is deleted",
        "answers on 10.77.0.20",
    ]
    assert [event.done for event in lab.events][-1]


class Killed(BaseException):
    """The process is gone."""


class Dying(BaseAdapter):
    """Passes calls on, and dies with the answer to the n-th write: it happened, and nobody heard of it."""

    def __init__(self, real: BaseAdapter, writes: int) -> None:
        super().__init__()
        self.real = real
        self.left = writes

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        answer = self.real.send(request, **options)
        self.left -= request.method != "GET"
        if self.left == 0 and request.method != "GET":
            answer.close()
            self.close()
            raise Killed
        return answer

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize("fresh_lab", [{"pace": 0.1}], indirect=True, ids=["slow tasks"])
@pytest.mark.parametrize("write", range(1, 8))
def test_a_run_that_is_killed_after_any_write_is_finished_by_the_next(fresh_lab: Any, write: int) -> None:
    lab = fresh_lab
    one = lab.machines[1:2]
    images.fetch(lab.client(), lab.environment, "pve1", Path())

    dying: list[Dying] = []

    def transport(real: BaseAdapter) -> BaseAdapter:
        dying.append(Dying(real, write))
        return dying[-1]

    if write < 7:
        with pytest.raises(Killed):
            lab.apply(lab.plan(one), lab.client(transport))
    else:
        lab.apply(lab.plan(one), lab.client(transport))
    second = lab.apply(lab.plan(one))

    assert second.failures == {}
    assert lab.plan(one).changes == ()
    volumes = [volume.split(".")[0] for volume in _volumes(lab) if volume.startswith("vmdata")]
    assert volumes == ["vmdata:930/vm-930-disk-0", "vmdata:930/vm-930-disk-1"]
    assert not [volume for volume in _volumes(lab) if volume.startswith("local:iso")]


class Deaf(Dying):
    """Passes calls on, and loses the answer to the n-th write."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        try:
            return super().send(request, **options)
        except Killed:
            raise requests.ConnectionError("Connection aborted.") from None


def test_a_create_whose_answer_is_lost_is_looked_for_and_not_repeated(lab: Any) -> None:
    images.fetch(lab.client(), lab.environment, "pve1", Path())
    client = lab.client(lambda real: Deaf(real, 2))

    result = lab.apply(lab.plan(lab.machines[:1]), client)

    assert result.failures == {}
    assert client.calls.count(("POST", "/nodes/pve1/qemu")) == 1
    assert [(vm.vmid, vm.running, vm.seed) for vm in lab.observe().vms] == [(920, True, None)]


def test_a_run_that_is_killed_between_two_steps_of_two_machines_is_finished_by_the_next(lab: Any) -> None:
    def die(event: Event) -> None:
        if event.step == "starts":
            raise Killed

    with pytest.raises(Killed):
        lab.apply(lab.plan(), report=die)
    left = lab.plan()
    assert {type(change) for change in left.changes} <= {Create, Finish}

    assert lab.apply(left).failures == {}
    assert _converged(lab)


def test_without_waiting_the_seed_stays_until_the_next_run(lab: Any) -> None:
    assert lab.apply(lab.plan(), wait_for_hosts=False).failures == {}
    assert all(vm.seed for vm in lab.observe().vms)

    plan = lab.plan()
    assert _verbs(plan) == ["finish"] * 2
    lab.apply(plan)

    assert _converged(lab)


def test_a_seed_that_is_gone_before_the_first_start_goes_up_again(lab: Any) -> None:
    with pytest.raises(Killed):
        lab.apply(lab.plan(lab.machines[:1]), lab.client(lambda real: Dying(real, 4)))
    images.delete_volume(lab.client(), "pve1", machines.seed_volume(lab.machines[0], lab.environment))

    assert lab.apply(lab.plan()).failures == {}
    assert _converged(lab)


def test_a_machine_that_is_switched_off_is_started(lab: Any) -> None:
    lab.apply(lab.plan())
    root = lab.root()
    root.post("/nodes/pve1/qemu/930/status/stop")
    while lab.observe().vms[1].running:
        root.pause(0.05)

    plan = lab.plan()
    assert [type(change) for change in plan.changes] == [Start]
    lab.apply(plan)

    assert _converged(lab)


def _foreign(lab: Any, **changes: str) -> dict[str, Any]:
    """A VM on the server's VMID that lacks one proof."""
    machine = lab.machines[0]
    proofs = {"smbios1": f"uuid={machine.uuid}", "name": machine.name, "tags": ";".join(machine.tags)}
    lab.root().post("/nodes/pve1/qemu", {"vmid": machine.vmid, "memory": 64, **proofs, **changes})
    while (config := lab.root().get(f"/nodes/pve1/qemu/{machine.vmid}/config")).get("lock"):
        lab.root().pause(0.05)
    return dict(config)


FOREIGN = [
    ({"smbios1": "uuid=5b1c7e0e-2f0a-5d6c-8b1e-0123456789ab"}, "SMBIOS UUID is 5b1c7e0e"),
    ({"name": "precious"}, "name is precious"),
    ({"tags": "rzp"}, "tag rzp-demo is missing"),
]


@pytest.mark.parametrize(("changes", "proof"), FOREIGN)
def test_a_vm_that_is_not_ours_is_named_and_not_touched(
    lab: Any, changes: dict[str, str], proof: str
) -> None:
    before = _foreign(lab, **changes)
    plan = lab.plan()

    assert f"VMID 920 on pve1 is taken by VM {before['name']} that is not ours ({proof}" in plan.conflicts[0]
    with pytest.raises(ImpossiblePlan, match="VMID 920 on pve1 is taken"):
        lab.apply(plan)
    assert [change for change in destroy("demo", lab.observe()).changes if isinstance(change, Delete)] == []
    assert lab.root().get("/nodes/pve1/qemu/920/config") == before
    assert [vm.vmid for vm in lab.observe().vms] == [920]


@pytest.mark.parametrize(("changes", "proof"), FOREIGN)
def test_a_vmid_that_is_taken_after_the_plan_was_made_is_a_conflict(
    lab: Any, changes: dict[str, str], proof: str
) -> None:
    plan = lab.plan()
    before = _foreign(lab, **changes)

    result = lab.apply(plan)

    assert proof in str(result.failures["demo-server-1"])
    assert [change.machine.name for change in result.done if isinstance(change, Create)] == ["demo-agent-1"]
    assert lab.root().get("/nodes/pve1/qemu/920/config") == before
    assert not [volume for volume in _volumes(lab) if volume.endswith(".iso")]


def test_a_machine_that_another_workstation_made_meanwhile_is_taken_over(lab: Any) -> None:
    plan = lab.plan()
    lab.apply(plan, wait_for_hosts=False)

    assert lab.apply(plan).failures == {}
    assert _converged(lab)


def test_an_address_that_answers_already_is_refused_before_any_change(lab: Any) -> None:
    lab.hosts.answering = frozenset({"10.77.0.30"})
    client = lab.client()

    with pytest.raises(
        ImpossiblePlan,
        match=r"^demo-agent-1: address 10\.77\.0\.30 already answers on port 22.*first_host of agent$",
    ):
        lab.apply(lab.plan(), client)
    assert client.calls == []


def test_a_wrong_host_key_is_an_error_with_both_fingerprints(lab: Any) -> None:
    lab.hosts.key = OTHER_KEY

    (error,) = lab.apply(lab.plan(lab.machines[:1])).failures.values()

    assert "shows host key SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU, expected is SHA256:" in str(
        error
    )
    assert lab.observe().vms[0].seed is not None


def test_waiting_for_a_machine_ends_with_the_evidence(lab: Any) -> None:
    lab.hosts.key = None

    (error,) = lab.apply(lab.plan(lab.machines[:1]), key_limit=0.2).failures.values()

    assert isinstance(error, WaitTimeout)
    assert (
        "has not shown its host key within 0 s (port 22 of 10.77.0.20 is silent); look at the console of VM 920"
        in str(error)
    )


def test_one_machine_that_fails_does_not_stop_the_others(lab: Any) -> None:
    plan = lab.plan()
    broken = tuple(
        Create(replace(change.machine, bridge="vmbr9"))
        if isinstance(change, Create) and change.machine.vmid == 930
        else change
        for change in plan.changes
    )

    result = lab.apply(replace(plan, changes=broken))

    assert list(result.failures) == ["demo-agent-1"]
    assert "vmbr9" in str(result.failures["demo-agent-1"])
    assert {vm.vmid for vm in lab.observe().vms if vm.running} == {920}
    assert [event.subject for event in lab.events if event.failed] == ["demo-agent-1"]


def test_without_the_image_no_machine_is_begun(lab: Any) -> None:
    image = lab.environment.image.model_copy(update={"checksum": "0" * 128})
    lab.environment = lab.environment.model_copy(update={"image": image})

    result = lab.apply(lab.plan())

    assert isinstance(result.failures["image on pve1"], TaskFailed)
    assert (
        str(result.failures["demo-server-1"]) == "demo-server-1: not begun, because the image is not on pve1"
    )
    assert (lab.observe().vms, result.done) == ((), ())


def test_destroying_leaves_the_image_and_nothing_else(lab: Any) -> None:
    lab.apply(lab.plan(), wait_for_hosts=False)

    result = lab.apply(destroy("demo", lab.observe()))

    assert result.failures == {}
    assert _volumes(lab) == [images.volume(lab.environment)]
    assert lab.observe().vms == ()


def test_another_medium_in_the_seeds_drive_outlives_the_machine(lab: Any) -> None:
    lab.apply(lab.plan())
    images.upload_seed(lab.client(), "pve1", "local", "rescue.iso", b"mine" * 4096)
    lab.root().put("/nodes/pve1/qemu/930/config", {"scsi1": "local:iso/rescue.iso,media=cdrom"})

    assert lab.apply(destroy("demo", lab.observe(), lab.machines)).failures == {}

    assert _volumes(lab) == ["local:import/stand-in.qcow2", "local:iso/rescue.iso"]


def test_a_surplus_machine_is_deleted_and_then_its_address_is_free(lab: Any) -> None:
    lab.apply(lab.plan())
    plan = lab.plan(lab.machines[:1])

    assert [str(change) for change in plan.changes] == [
        "delete demo-agent-1 (VMID 930 on pve1, with 6 GiB + 1 GiB)"
    ]
    lab.apply(plan)

    assert [vm.vmid for vm in lab.observe().vms] == [920]


def test_protection_is_honoured_before_the_machine_is_shut_down(lab: Any) -> None:
    lab.apply(lab.plan())
    lab.root().put("/nodes/pve1/qemu/930/config", {"protection": True})

    result = lab.apply(destroy("demo", lab.observe()))

    assert str(result.failures["demo-agent-1"]).endswith("type on pve1: qm set 930 --protection 0")
    assert [(vm.vmid, vm.running) for vm in lab.observe().vms] == [(930, True)]


def test_what_is_no_longer_ours_when_its_turn_comes_is_not_deleted(lab: Any) -> None:
    lab.apply(lab.plan())
    plan = destroy("demo", lab.observe())
    lab.root().put("/nodes/pve1/qemu/930/config", {"name": "precious"})

    result = lab.apply(plan)

    assert "VMID 930 is no longer ours (name is precious)" in str(result.failures["demo-agent-1"])
    assert [(vm.vmid, vm.running) for vm in lab.observe().vms] == [(930, True)]


def test_a_left_over_seed_is_dropped(lab: Any) -> None:
    images.upload_seed(lab.client(), "pve1", "local", "rzp-demo-agent-9.iso", b"seed" * 4096)
    plan = lab.plan(())

    assert [type(change) for change in plan.changes] == []
    plan = lab.plan()
    assert [type(change) for change in plan.changes if not isinstance(change, (Create, FetchImage))] == [
        DropSeed
    ]
    lab.apply(plan)

    assert _converged(lab)


def test_another_medium_in_the_seeds_drive_is_not_ejected_and_outlives_the_machine(lab: Any) -> None:
    lab.apply(lab.plan())
    rescue = "local:iso/rescue.iso"
    images.upload_seed(lab.client(), "pve1", "local", "rescue.iso", b"mine" * 4096)
    lab.root().put("/nodes/pve1/qemu/930/config", {"scsi1": f"{rescue},media=cdrom"})
    assert lab.plan().changes == ()

    images.upload_seed(lab.client(), "pve1", "local", "rzp-demo-agent-1.iso", b"seed" * 4096)
    result = lab.apply(lab.plan())
    assert f"holds {rescue}, which is not its seed" in str(result.failures["demo-agent-1"])
    assert isinstance(result.failures["demo-agent-1"], RzpError)
    assert lab.observe().vms[1].seed == rescue

    assert lab.apply(destroy("demo", lab.observe(), lab.machines)).failures == {}
    assert [volume for volume in _volumes(lab) if volume.endswith(".iso")] == [rescue]
