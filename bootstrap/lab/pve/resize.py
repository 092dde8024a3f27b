"""The endpoint that makes a disk larger; never smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrap.lab.backend import Disk
from bootstrap.lab.pve import drives
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.options import DRIVES, FIRMWARE_DISKS
from bootstrap.lab.pve.qemu import VM, skips_lock
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, Rule, properties
from bootstrap.lab.pve.storage import size_of, size_text

if TYPE_CHECKING:
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_RESIZE = {
    "disk": Rule(required=True, choices=(*DRIVES, *FIRMWARE_DISKS)),
    "size": Rule(required=True, pattern=r"\+?\d+(\.\d+)?[KMGT]?"),
    "digest": Rule(longest=40),
    "skiplock": SWITCH,
}


@ROUTES.on("PUT", f"{VM}/resize", _RESIZE, allow=("/vms/{vmid}", "VM.Config.Disk"))
async def resize(call: Call) -> Any:
    skips = skips_lock(call)

    async def work(task: Task) -> None:
        async with call.lab.machines.locked(call.vmid, task):
            machine = call.lab.machines.find(call.node, call.vmid)
            machine.check_digest(call.params.get("digest", ""))
            if not skips:
                machine.check_lock()
            await _resize(call, machine, task)

    return call.lab.tasks.start(call.node, "resize", str(call.vmid), call.who, work)


async def _resize(call: Call, machine: Machine, task: Task) -> None:
    lab, slot, size = call.lab, call.params["disk"], call.params["size"]
    drive = properties(machine.config.get(slot, ""), "file")
    if not drive:
        raise Fault(500, f"disk '{slot}' does not exist")
    if is_cdrom(drive):
        raise Fault(500, "you can't resize a cdrom")
    volume = lab.storages.existing(machine.node, drive["file"])
    call.require(f"/storage/{volume.storage.storage}", "Datastore.AllocateSpace")
    now = volume.size()
    wanted = size_of(size.removeprefix("+")) + (now if size.startswith("+") else 0)
    if wanted < now:
        raise Fault(500, "shrinking disks is not supported")
    if wanted > now:
        with volume.file.open("r+b") as file:
            file.truncate(wanted)
        if lab.backend.running(machine.vmid):
            await lab.backend.plug(machine.vmid, Disk(slot=slot, path=volume.file, imported=False))
        else:
            task.log("Image resized.")
    machine.config[slot] = drives.render({**drive, "size": size_text(wanted)})
    lab.machines.save(machine)
