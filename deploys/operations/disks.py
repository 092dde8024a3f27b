"""Disks: data disks are formatted only when they are empty, and mounted by the UUID of their file system; what was made larger
is used to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import paths, system
from deploys.facts.memo import changing
from deploys.operations.node import state_of, write
from deploys.running import Commands, failure, limited
from deploys.wanted import File

if TYPE_CHECKING:
    from pyinfra.api.command import StringCommand

    from deploys.facts.disk import Disk
    from deploys.facts.node import Node
    from deploys.settings import DataDisk, Settings


@operation()
def mounted(settings: Settings, disk: DataDisk) -> Commands:
    """The disk carries a file system and is mounted, now and at every boot."""
    found = state_of(settings, host).disks.get(disk.device)
    if found is None:
        yield failure(
            f"{host.name}: the data disk {disk.device} is not there yet. One that the running VM could not take appears at its"
            " next start: shut the VM down, start it, and run again. Otherwise compare the VM's hardware with the plan"
        )
        return
    if found.empty:
        yield from changing(host, [limited(_format(disk, found), 300)])
        found = state_of(settings, host).disks[disk.device]
    if found.tags.get("TYPE") != disk.filesystem or found.uuid is None or found.children:
        yield failure(
            f"{host.name}: {disk.device} ({found.device}) is not empty and not {disk.filesystem}: {found.content};"
            " nothing on it was touched. Save it, clear it with wipefs, and run again"
        )
        return
    yield from _mount(settings, disk, found, found.uuid)


@operation()
def grown(settings: Settings, disk: DataDisk) -> Commands:
    """The file system reaches to the end of its disk; it grows while it is mounted."""
    found = state_of(settings, host).disks.get(disk.device)
    if found is None or found.extent is None:
        host.noop(f"{disk.device} carries no {disk.filesystem} that could grow")
    elif not found.room:
        host.noop(f"the file system on {disk.device} is as large as the disk")
    else:
        yield from changing(host, [_resize(found.device)])
        if left := state_of(settings, host).disks[disk.device].room:
            yield failure(
                f"{host.name}: the file system on {disk.device} lacks {left >> 20} MiB of its disk; see: dmesg"
            )


@operation()
def root_grown(settings: Settings) -> Commands:
    """The partition of / and its file system reach to the end of the disk; both grow while they are in use."""
    root = state_of(settings, host).root
    if not root.disk or root.extent is None:
        host.noop(f"/ is {root.filesystem}, no ext4 on a partition of a disk")
        return
    if not root.gain and not root.room:
        host.noop(f"{root.device} and its file system reach to the end of {root.disk}")
        return
    if root.gain:
        # its status 1 is NOCHANGE
        grow = f"growpart {root.disk} {root.number} || [ $? -eq 1 ]"
        yield from changing(host, [limited(grow, 60)])
    if state_of(settings, host).root.room:
        yield from changing(host, [_resize(root.device)])
    if left := state_of(settings, host).root.room:
        yield failure(
            f"{host.name}: the file system of / lacks {left >> 20} MiB of {root.device}; see: dmesg"
        )


def _mount(settings: Settings, disk: DataDisk, found: Disk, uuid: str) -> Commands:
    name = system.mount_unit(disk.mount)
    wanted = File(paths.unit(name), system.mount_text(uuid, disk))
    node = state_of(settings, host)
    if not wanted.differs(node) and _is_mounted(node, name, disk, found):
        host.noop(f"{disk.device} is mounted at {disk.mount}")
        return
    yield from write([wanted], node, host)
    script = (
        f"for i in $(seq 30); do [ -e /dev/disk/by-uuid/{uuid} ] && break; sleep 1; done;"
        f" systemctl daemon-reload && systemctl -q enable '{name}' && systemctl restart '{name}'"
    )
    yield from changing(host, [limited(script, 120)])
    if not _is_mounted(state_of(settings, host), name, disk, found):
        yield failure(
            f"{host.name}: {disk.device} did not come up at {disk.mount}; see: systemctl status '{name}'"
        )


def _is_mounted(node: Node, name: str, disk: DataDisk, found: Disk) -> bool:
    unit = node.unit(name)
    up = unit.active == "active" and unit.file == "enabled" and not unit.reload_due
    return up and node.mounts.get(disk.mount) == found.majmin


def _resize(device: str) -> StringCommand:
    return limited(f"resize2fs {device}", 600)


def _format(disk: DataDisk, found: Disk) -> str:
    """Without force, and only if blkid finds nothing in this very moment either (its status 2)."""
    make = f"mkfs.{disk.filesystem} -q '{found.device}' </dev/null"
    return f"blkid -p '{found.device}' >/dev/null 2>&1; [ $? -eq 2 ] && {make}"
