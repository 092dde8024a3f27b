"""The operations on disks: nothing with anything on it is formatted, and what was made larger is used to its end."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from deploys import paths
from deploys.facts.disk import Disk, Extent, Root
from deploys.facts.node import Node, NodeState
from deploys.operations import disks
from deploys.settings import Settings

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi2"
GIB = 1 << 30


def _change(machine: Any, **fields: Any) -> None:
    """The machine answers as before, but for these fields."""
    before = machine.answers[NodeState]
    machine.answers[NodeState] = lambda: dataclasses.replace(before(), **fields)


def _with_disk(machine: Any, **fields: Any) -> None:
    base = Disk("/dev/sdb", "8:16", 2, {}, (), 0)
    _change(machine, disks={DISK: dataclasses.replace(base, **fields)}, mounts={})


FULL = {
    "another file system": {"probe": 0, "tags": {"TYPE": "xfs", "UUID": "u"}},
    "a partition table": {"probe": 0, "tags": {"PTTYPE": "gpt"}},
    "partitions": {"children": 1},
    "a signature": {"signatures": ("dos",)},
    "something unreadable": {"probe": 99},
}


@pytest.mark.parametrize("fields", FULL.values(), ids=FULL)
def test_a_disk_with_anything_on_it_is_never_formatted(
    machines: Machines, settings: Settings, carry_out: Carry, fields: dict[str, Any]
) -> None:
    machine = machines["a1"]
    _with_disk(machine, **fields)
    commands = carry_out(machine, disks.mounted, settings=settings, disk=settings.nodes["a1"].data_disks[0])
    assert [type(command) for command in commands] == [FunctionCommand]
    assert DISK in machine.logs[-1]
    assert "nothing on it was touched" in machine.logs[-1]


def test_an_absent_disk_is_named(machines: Machines, settings: Settings, carry_out: Carry) -> None:
    machine = machines["a1"]
    _change(machine, disks={})
    carry_out(machine, disks.mounted, settings=settings, disk=settings.nodes["a1"].data_disks[0])
    assert f"a1: the data disk {DISK} is not there yet" in machine.logs[-1]
    assert "appears at its next start" in machine.logs[-1]


def test_an_empty_disk_is_formatted_without_force_and_mounted_by_uuid(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["a1"]
    converged, unit = machine.answers[NodeState](), paths.unit("var-lib-longhorn.mount")
    _with_disk(machine)
    others = {path: file for path, file in converged.files.items() if path != unit}
    formatted = dataclasses.replace(converged, mounts={}, files=others)
    machine.answers[NodeState] = iter([machine.answers[NodeState](), formatted, converged]).__next__
    commands = carry_out(machine, disks.mounted, settings=settings, disk=settings.nodes["a1"].data_disks[0])
    make, write, mount = (str(command) for command in commands)
    assert "blkid -p" in make
    assert "mkfs.ext4 -q" in make
    assert "-F" not in make
    assert unit in write
    assert "/dev/disk/by-uuid/5c0c1b2e" in mount
    assert "seq 30" in mount


# --- larger ones


def _as_large_as(machine: Any, *sizes: int, on: int) -> None:
    """The data disk has `on` bytes; its file system, each time it is looked at, the next of `sizes`."""
    converged: Node = machine.answers[NodeState]()
    looks = iter(sizes)

    def look() -> Node:
        extent = Extent(next(looks), 128 << 20)
        return dataclasses.replace(
            converged, disks={DISK: dataclasses.replace(converged.disks[DISK], size=on, extent=extent)}
        )

    machine.answers[NodeState] = look


@pytest.mark.parametrize("executing", [False, True], ids=["planning", "executing"])
def test_a_file_system_grows_to_the_end_of_its_disk_while_it_is_mounted(
    machines: Machines, settings: Settings, carry_out: Carry, executing: bool
) -> None:
    machine, disk = machines["a1"], settings.nodes["a1"].data_disks[0]
    machine.state.is_executing = executing
    _as_large_as(machine, GIB, 2 * GIB, on=2 * GIB)
    assert carry_out(machine, disks.mounted, settings=settings, disk=disk) == []
    (command,) = carry_out(machine, disks.grown, settings=settings, disk=disk)
    assert str(command).startswith("timeout 600 sh -c")
    assert "resize2fs /dev/sdb" in command.get_raw_value()  # type: ignore[attr-defined]
    assert machine.logs == []


def test_a_file_system_that_did_not_grow_is_a_failure(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["a1"]
    _as_large_as(machine, GIB, GIB, on=2 * GIB)
    carry_out(machine, disks.grown, settings=settings, disk=settings.nodes["a1"].data_disks[0])
    assert f"a1: the file system on {DISK} lacks 1024 MiB of its disk" in machine.logs[-1]


def test_before_the_first_format_there_is_nothing_to_grow(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["a1"]
    _with_disk(machine)
    assert carry_out(machine, disks.grown, settings=settings, disk=settings.nodes["a1"].data_disks[0]) == []
    assert machine.noops == [f"{DISK} carries no ext4 that could grow"]


def _root(machine: Any, *looks: tuple[int, int, int]) -> None:
    """/ each time it is looked at: bytes of its partition, free behind it, of its file system."""
    found = [
        Root("ext4", "/dev/sda1", "/dev/sda", 1, size, behind, Extent(held, 128 << 20))
        for size, behind, held in looks
    ]
    converged = machine.answers[NodeState]()
    states = iter([dataclasses.replace(converged, root=root) for root in found])
    machine.answers[NodeState] = states.__next__


ROOTS: dict[str, tuple[list[tuple[int, int, int]], list[str]]] = {
    "the disk is larger": (
        [(GIB, GIB, GIB), (2 * GIB, 0, GIB), (2 * GIB, 0, 2 * GIB)],
        ["growpart /dev/sda 1", "resize2fs /dev/sda1"],
    ),
    "a run was killed after the partition": (
        [(2 * GIB, 0, GIB), (2 * GIB, 0, 2 * GIB)],
        ["resize2fs /dev/sda1"],
    ),
    "the partition gains less than a group": (
        [(GIB, 2 << 20, GIB), (GIB + (2 << 20), 0, GIB)],
        ["growpart /dev/sda 1"],
    ),
    "growpart says NOCHANGE": ([(GIB, GIB, GIB), (GIB, GIB, GIB)], ["growpart /dev/sda 1"]),
    "1 MiB is not worth it": ([(GIB, 1 << 20, GIB)], []),
}


@pytest.mark.parametrize(("looks", "words"), ROOTS.values(), ids=ROOTS)
def test_the_system_disk_is_used_to_its_end(
    machines: Machines,
    settings: Settings,
    carry_out: Carry,
    looks: list[tuple[int, int, int]],
    words: list[str],
) -> None:
    machine = machines["s1"]
    _root(machine, *looks)
    commands = carry_out(machine, disks.root_grown, settings=settings)
    assert len(commands) == len(words)
    assert all(
        word in command.get_raw_value()  # type: ignore[attr-defined]
        for word, command in zip(words, commands, strict=True)
    )
    assert len(machine.noops) == (not words)


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (1, 0), (2, 1), (127, 1)])
def test_of_growparts_statuses_1_is_nochange_and_no_failure(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path, status: int, ends: int
) -> None:
    (tmp_path / "growpart").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "growpart").chmod(0o755)
    machine = machines["s1"]
    _root(machine, (GIB, GIB, GIB), (2 * GIB, 0, 2 * GIB))
    (command,) = carry_out(machine, disks.root_grown, settings=settings)
    path = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    raw = command.get_raw_value()  # type: ignore[attr-defined]
    assert subprocess.run(["sh", "-c", raw], env=path, check=False, timeout=30).returncode == ends


def test_where_root_is_no_partition_nothing_grows_and_the_reason_is_said(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    _change(machine, root=Root("overlay"))
    assert carry_out(machine, disks.root_grown, settings=settings) == []
    assert machine.noops == ["/ is overlay, no ext4 on a partition of a disk"]
