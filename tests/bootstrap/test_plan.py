"""The diff: desired machines against what Proxmox shows, as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.change import Create, Delete, Differs, DropSeed, FetchImage, Finish, Reboot, Start, Update
from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.fields import VERDICTS, FieldChange, managed_fields
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine
from bootstrap.plan import Plan, destroy, diff

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
        volumes={disk.slot: f"vmdata:{machine.vmid}/vm-{machine.vmid}-{disk.slot}" for disk in machine.disks},
        fields=managed_fields(machine),
    )


def _diff(machines: tuple[Machine, ...], *vms: Live, **observed: frozenset[object]) -> Plan:
    seen = Observed(vms=vms, **observed)  # type: ignore[arg-type]
    return diff("staging", machines, seen, image=IMAGE, image_storage="local")


def _with_options(machines: tuple[Machine, ...], *vms: Live, **options: Any) -> Plan:
    return diff("staging", machines, Observed(vms=vms), image=IMAGE, image_storage="local", **options)


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


def test_a_difference_is_shown_old_to_new_with_when_it_takes_effect(machines: tuple[Machine, ...]) -> None:
    live = _live(machines[0])
    changed = replace(live, fields={**live.fields, "cores": 8, "onboot": False}, disks={"scsi0": 10.0})

    plan = _diff(machines[:1], changed)

    expected = (
        FieldChange("cores", 8, 2),
        FieldChange("onboot", False, True),
        FieldChange("scsi0 size", 10, 20),
    )
    assert plan.changes == (Update(machines[0], changed, expected),)
    assert str(plan.changes[0]) == (
        "change staging-server-1 (VMID 120): cores: 8 → 2 (after a reboot); onboot: no → yes; scsi0 size: 10 GiB → 20 GiB"
        " (its file system grows with the next deploy)"
    )
    assert plan.left_waiting == ("staging-server-1",)
    assert plan.as_dict()["changes"][0]["fields"][0] == {
        "field": "cores",
        "old": 8,
        "new": 2,
        "verdict": "in place, after a reboot",
    }


def test_what_is_off_takes_every_change_at_once(machines: tuple[Machine, ...]) -> None:
    live = _live(machines[0])
    off = replace(live, fields={**live.fields, "cores": 8}, running=False)

    plan = _diff(machines[:1], off)

    assert list(map(str, plan.changes)) == [
        "change staging-server-1 (VMID 120): cores: 8 → 2",
        "start staging-server-1 (VMID 120): power: stopped → running",
    ]
    assert plan.left_waiting == ()


def test_every_managed_field_has_a_verdict(machines: tuple[Machine, ...]) -> None:
    described = replace(machines[0], description="the first")

    assert managed_fields(described).keys() | {"tags"} == VERDICTS.keys()


@pytest.mark.parametrize(
    ("fields", "disks", "said"),
    [
        ({"net0 mac": "BC:24:11:00:00:01"}, {}, "net0 mac: BC:24:11:00:00:01 → "),
        ({"machine": "pc"}, {}, "machine: pc → q35"),
        (
            {"addresses": "10.10.0.9/24"},
            {},
            "addresses: 10.10.0.9/24 → 10.10.0.20/24 fd10:10::20/64",
        ),
        ({}, {"scsi0": 40.0}, "scsi0 size: 40 GiB → 20 GiB"),
    ],
)
def test_what_only_a_replacement_can_change_is_shown_and_left(
    machines: tuple[Machine, ...], fields: dict[str, Any], disks: dict[str, float], said: str
) -> None:
    live = _live(machines[0])
    live = replace(live, fields={**live.fields, **fields}, disks={**live.disks, **disks})

    plan = _diff(machines[:1], live)

    assert [type(change) for change in plan.changes] == [Differs]
    assert plan.applicable == ()
    assert f"staging-server-1 (VMID 120) differs, only by replacement: {said}" in str(plan.changes[0])
    assert str(plan.changes[0]).endswith("--replace staging-server-1)")


def test_a_machine_that_does_not_say_its_addresses_is_not_judged_by_them(
    machines: tuple[Machine, ...],
) -> None:
    live = _live(machines[0])

    assert _diff(machines[:1], replace(live, fields={**live.fields, "addresses": None})).changes == ()


def test_what_waits_for_a_reboot_is_information_until_one_is_asked_for(machines: tuple[Machine, ...]) -> None:
    live = replace(_live(machines[0]), running_fields={"cores": 1})

    quiet, asked = _with_options(machines[:1], live), _with_options(machines[:1], live, reboot=True)

    assert quiet.changes == ()
    assert quiet.notes == (
        "staging-server-1 waits for a reboot: cores: 1 → 2 (rzp-bootstrap staging --reboot)",
    )
    assert asked.changes == (Reboot(machines[0], live, (FieldChange("cores", 1, 2),)),)


def test_a_reboot_comes_after_the_change_that_needs_it_and_only_then(machines: tuple[Machine, ...]) -> None:
    one, two = _live(machines[0]), _live(machines[1])
    cores = replace(one, fields={**one.fields, "cores": 1})
    onboot = replace(two, fields={**two.fields, "onboot": False})

    plan = _with_options(machines[:2], cores, onboot, reboot=True)

    assert [(type(c), c.machine.vmid) for c in plan.changes] == [(Update, 120), (Reboot, 120), (Update, 130)]  # type: ignore[union-attr]


def test_a_machine_that_was_migrated_is_information(machines: tuple[Machine, ...]) -> None:
    plan = _diff(machines[:1], replace(_live(machines[0]), node="pve2"))

    assert plan.changes == ()
    assert plan.notes == ("staging-server-1 runs on pve2 (placed on pve1); it stays there",)


def test_a_named_machine_is_deleted_and_made_anew(machines: tuple[Machine, ...]) -> None:
    lives = tuple(map(_live, machines))

    plan = _with_options(machines, *lives, replacing=["staging-agent-1"])

    assert plan.changes == (FetchImage("pve1", "local", IMAGE), Delete(lives[1]), Create(machines[1]))
    assert plan.deletions == (Delete(lives[1]),)


def test_a_replacement_is_shown_whole_beside_a_conflict_of_another_machine(
    machines: tuple[Machine, ...],
) -> None:
    foreign, agent = replace(_live(machines[0]), name="nas"), _live(machines[1])

    plan = _with_options(machines[:2], foreign, agent, replacing=["staging-agent-1"])

    assert len(plan.conflicts) == 1
    assert plan.changes[1:] == (Delete(agent), Create(machines[1]))


def test_two_servers_are_not_replaced_at_once(production: Environment) -> None:
    machines = K3sCluster(production).machines
    lives = Observed(vms=tuple(map(_live, machines)))
    names = ["production-server-1", "production-server-3"]

    plan = diff("production", machines, lives, image=IMAGE, image_storage="local", replacing=names)

    assert "production-server-1 and production-server-3 cannot be replaced at once" in plan.conflicts[0]


def test_before_a_node_of_a_running_cluster_goes_it_is_said_how_to_drain_it(
    machines: tuple[Machine, ...],
) -> None:
    lives = tuple(map(_live, machines))
    gone = _diff(machines[:2], *lives)

    assert gone.notes == (
        (
            "before staging-agent-2 goes, while it is a node of the running cluster: kubectl --kubeconfig inventories/staging.kubeconfig drain"
            " staging-agent-2 --ignore-daemonsets --delete-emptydir-data && kubectl --kubeconfig inventories/staging.kubeconfig delete node staging-agent-2"
        ),
    )
    assert _diff(machines[:2], *lives[:2], replace(lives[2], running=False)).notes == ()
    assert "majority of the etcd members" in _diff(machines[1:], *lives).notes[0]


@pytest.mark.parametrize("slot", ["virtio1", "unused0", "scsi9"])
@pytest.mark.parametrize(
    "volume",
    [
        "vmdata:130/vm-130-disk-7.raw",
        "vmdata:130/films.qcow2",
        "vmdata:900/base-900-disk-0.qcow2/130/vm-130-disk-7.qcow2",
        "local-lvm:vm-130-disk-7",
        "tank:base-900-disk-0/vm-130-disk-7",
        "tank:base-130-disk-7",
    ],
)
def test_a_disk_that_is_not_the_environments_stands_before_a_deletion(
    machines: tuple[Machine, ...], slot: str, volume: str
) -> None:
    live = _live(machines[1])
    live = replace(live, volumes={**live.volumes, slot: volume})
    expected = (
        f"staging-agent-1 (VMID 130) holds {slot}, {volume}, which is not the environment's and would"
        f" die with it; give it to another VM, on pve1: qm disk move 130 {slot} --target-vmid VMID"
    )

    destroyed = destroy("staging", Observed(vms=(live,)), machines)
    replaced = _with_options(machines[1:2], live, replacing=["staging-agent-1"])

    assert destroyed.conflicts == replaced.conflicts == (expected,)
    assert destroyed.changes == replaced.changes == ()


@pytest.mark.parametrize(
    "volume",
    [
        "local-lvm:vm-999-disk-0",
        "vmdata:999/films.raw",
        "tank:base-130-disk-0/vm-999-disk-0",
        "san:0.0.1.scsi-36001405",
        "/dev/disk/by-id/ata-films",
    ],
)
def test_a_volume_of_another_vm_or_of_none_is_no_reason_because_proxmox_keeps_it(
    machines: tuple[Machine, ...], volume: str
) -> None:
    live = _live(machines[1])
    live = replace(live, volumes={**live.volumes, "scsi9": volume})

    assert destroy("staging", Observed(vms=(live,)), machines).changes == (Delete(live),)


def test_a_number_that_is_left_out_takes_its_machine_and_no_other(staging: Environment) -> None:
    pool = staging.agents[0].model_copy(update={"count": 3})
    before = K3sCluster(staging.model_copy(update={"agents": (pool,)})).machines
    after = K3sCluster(
        staging.model_copy(update={"agents": (pool.model_copy(update={"without": (2,)}),)})
    ).machines

    plan = _diff(after, *map(_live, before))

    assert [machine.name for machine in after] == ["staging-server-1", "staging-agent-1", "staging-agent-3"]
    assert [str(change)[:22] for change in plan.changes] == ["delete staging-agent-2"]


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


def test_the_table_of_verdicts_in_the_docs_names_every_field() -> None:
    table = (Path(__file__).parents[2] / "docs" / "changes.md").read_text()

    assert [name for name in VERDICTS if f"`{name}`" not in table] == []


def test_what_will_not_be_deleted_is_told_before_the_question(machines: tuple[Machine, ...]) -> None:
    ours = _live(machines[1])
    ours = replace(ours, fields={**ours.fields, "protection": True})
    husk = Live(vmid=139, node="pve1", lock="create")

    plan = destroy("staging", Observed(vms=(ours, husk)), machines)

    assert plan.notes == (
        "staging-agent-1 is protected and will not be deleted, unless you type on pve1: qm set 130 --protection 0",
        (
            "VMID 139 on pve1 is locked by a creation that is not ours, or that broke off; it was not touched."
            " If it broke off, type there: qm unlock 139 && qm destroy 139"
        ),
    )
