"""The diff: desired machines against what Proxmox shows, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.change import Create, Delete, Differs, DropSeed, FetchImage, FieldChange, Finish, Start
from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine
from bootstrap.plan import Plan, destroy, diff, managed_fields

IMAGE = "debian.qcow2"


def _live(machine: Machine) -> Live:
    return Live(
        vmid=machine.vmid,
        node=machine.node,
        name=machine.name,
        uuid=str(machine.uuid),
        tags=frozenset(machine.tags),
        running=True,
        disks={disk.slot: float(disk.gib) for disk in machine.disks},
        fields=managed_fields(machine),
    )


def _diff(machines: tuple[Machine, ...], *vms: Live, **observed: frozenset[object]) -> Plan:
    seen = Observed(vms=vms, **observed)  # type: ignore[arg-type]
    return diff("staging", machines, seen, image=IMAGE, image_storage="local")


@pytest.fixture
def machines(staging: Environment) -> tuple[Machine, ...]:
    return K3sCluster(staging).machines


def test_nothing_there_means_one_image_and_every_machine(machines: tuple[Machine, ...]) -> None:
    plan = _diff(machines)

    assert plan.changes == (FetchImage("pve1", "local", IMAGE), *map(Create, machines))
    assert plan.conflicts == plan.notes == ()


def test_a_present_image_is_not_fetched_again(machines: tuple[Machine, ...]) -> None:
    assert _diff(machines, images=frozenset({"pve1"})).changes == tuple(map(Create, machines))


def test_a_shared_storage_gets_the_image_once(production: Environment) -> None:
    machines = K3sCluster(production).machines
    local = diff("production", machines, Observed(), image=IMAGE, image_storage="local")
    shared = diff("production", machines, Observed(shared=True), image=IMAGE, image_storage="nfs")

    assert sum(isinstance(change, FetchImage) for change in local.changes) == 3
    assert sum(isinstance(change, FetchImage) for change in shared.changes) == 1


def test_what_is_there_and_alike_is_left_alone(machines: tuple[Machine, ...]) -> None:
    assert _diff(machines, *map(_live, machines)).changes == ()


def test_further_tags_and_disks_are_the_operators_own(machines: tuple[Machine, ...]) -> None:
    live = _live(machines[0])
    dressed = replace(live, tags=live.tags | {"backup"}, disks={**live.disks, "scsi9": 500.0})

    assert _diff(machines[:1], dressed).changes == ()


def test_a_difference_is_shown_old_to_new_and_not_applied(machines: tuple[Machine, ...]) -> None:
    live = _live(machines[0])
    changed = replace(live, fields={**live.fields, "cores": 8, "onboot": False}, disks={"scsi0": 10.0})

    plan = _diff(machines[:1], changed)

    expected = (
        FieldChange("cores", 8, 2),
        FieldChange("onboot", False, True),
        FieldChange("scsi0 size", "10 GiB", "20 GiB"),
    )
    assert plan.changes == (Differs(machines[0], expected),)
    assert plan.applicable == ()
    assert str(plan.changes[0]) == (
        "staging-server-1 (VMID 120) differs, not applied by this version: cores: 8 → 2; onboot: no → yes; scsi0 size: 10 GiB → 20 GiB"
    )


def test_a_machine_that_is_off_is_started(machines: tuple[Machine, ...]) -> None:
    live = replace(_live(machines[0]), running=False)

    assert _diff(machines[:1], live).changes == (Start(machines[0], live),)


def test_a_machine_with_its_seed_is_finished(machines: tuple[Machine, ...]) -> None:
    attached = replace(_live(machines[0]), seed=f"local:iso/{machines[0].seed_iso}", running=False)
    stored = frozenset({("pve1", f"local:iso/{machines[0].seed_iso}")})

    assert _diff(machines[:1], attached, seeds=stored).changes == (Finish(machines[0], attached),)
    ejected = _live(machines[0])
    assert _diff(machines[:1], ejected, seeds=stored).changes == (Finish(machines[0], ejected),)


def test_a_create_that_is_still_running_is_ours_while_its_task_tells(machines: tuple[Machine, ...]) -> None:
    bare = Live(vmid=120, node="pve1", lock="create")

    assert _diff(machines[:1], bare, creating=frozenset({120})).changes == (Finish(machines[0], bare),)
    assert "is not ours" in _diff(machines[:1], bare).conflicts[0]


FOREIGN = [
    (
        "uuid",
        {"uuid": "11111111-2222-3333-4444-555555555555"},
        "SMBIOS UUID is 11111111-2222-3333-4444-555555555555",
    ),
    ("name", {"name": "nas"}, "name is nas"),
    ("tags", {"tags": frozenset({"rzp", "server"})}, "tag rzp-staging is missing"),
    ("container", {"kind": "lxc"}, "it is a container"),
]


@pytest.mark.parametrize(
    ("values", "said"), [case[1:] for case in FOREIGN], ids=[case[0] for case in FOREIGN]
)
def test_a_foreign_vm_on_our_vmid_is_named_and_not_touched(
    machines: tuple[Machine, ...], values: dict[str, object], said: str
) -> None:
    plan = _diff(machines[:1], replace(_live(machines[0]), **values))  # type: ignore[arg-type]

    assert plan.changes == ()
    assert len(plan.conflicts) == 1
    assert said in plan.conflicts[0]
    assert plan.conflicts[0].startswith("VMID 120 on pve1 is taken by")


def test_a_machine_that_the_environment_no_longer_holds_is_deleted(machines: tuple[Machine, ...]) -> None:
    gone = _live(machines[2])

    plan = _diff(machines[:2], *map(_live, machines))

    assert plan.changes == (Delete(gone),)
    assert plan.deletions == (Delete(gone),)
    assert str(plan.changes[0]) == "delete staging-agent-2 (VMID 131 on pve1, with 20 GiB + 60 GiB)"


def test_a_foreign_vm_in_our_range_is_only_noted(machines: tuple[Machine, ...]) -> None:
    foreign = Live(vmid=135, node="pve1", name="nas", uuid="x", tags=frozenset())

    plan = _diff(machines, *map(_live, machines), foreign)

    assert plan.changes == ()
    assert plan.conflicts == ()
    assert plan.notes[0].startswith("VMID 135 on pve1 nas is not ours")


def test_a_seed_that_nobody_uses_is_dropped(machines: tuple[Machine, ...]) -> None:
    volume = "local:iso/rzp-staging-agent-9.iso"

    assert _diff(machines[:1], _live(machines[0]), seeds=frozenset({("pve1", volume)})).changes == (
        DropSeed("pve1", volume),
    )


def test_destroy_deletes_ours_and_only_names_the_others(machines: tuple[Machine, ...]) -> None:
    foreign = replace(_live(machines[1]), name="nas")
    ours = _live(machines[0])

    plan = destroy("staging", Observed(vms=(ours, foreign)))

    assert plan.changes == (Delete(ours),)
    assert len(plan.notes) == 1


def test_the_json_of_a_plan_says_what_is_printed(machines: tuple[Machine, ...]) -> None:
    plan = _diff(machines)

    assert [change["text"] for change in plan.as_dict()["changes"]] == [
        str(change) for change in plan.changes
    ]


def test_a_seed_of_the_same_name_on_another_node_is_dropped_and_finishes_nothing(
    machines: tuple[Machine, ...],
) -> None:
    volume = f"local:iso/{machines[0].seed_iso}"

    plan = _diff(machines[:1], _live(machines[0]), seeds=frozenset({("pve2", volume)}))

    assert plan.changes == (DropSeed("pve2", volume),)
