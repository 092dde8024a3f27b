"""The endpoint that moves a machine to another node: at once, with what it has on local storages; a running one stays on.

No recording has it: the refusals are worded as qemu-server words them, the rest of the log is the lab's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.qemu import VM
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import NEEDED, SWITCH

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.storage import Volume
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_MIGRATE = {"target": NEEDED, "online": SWITCH, "with-local-disks": SWITCH}


@ROUTES.on("POST", f"{VM}/migrate", _MIGRATE, allow=("/vms/{vmid}", "VM.Migrate"))
async def migrate(call: Call) -> Any:
    lab, target = call.lab, call.params["target"]
    if target == call.node:
        raise invalid(target="target is local node.")
    if target not in lab.nodes:
        raise Fault(500, f"no such cluster node '{target}'")
    if lab.mishaps.down(target):
        raise Fault(500, f"node '{target}' is offline")
    machine = lab.machines.find(call.node, call.vmid)
    machine.check_lock()
    if lab.backend.running(call.vmid) and call.params.get("online") != "1":
        raise Fault(500, "can't migrate running VM without --online")

    async def work(task: Task) -> None:
        async with lab.machines.locked(call.vmid, task):
            found = lab.machines.find(call.node, call.vmid)
            found.check_lock()
            _move(call, found, target, task)

    return lab.tasks.start(call.node, "qmigrate", str(call.vmid), call.who, work)


def _move(call: Call, machine: Machine, target: str, task: Task) -> None:
    lab, copies = call.lab, call.params.get("with-local-disks") == "1"
    task.log(f"starting migration of VM {machine.vmid} to node '{target}'")
    local = _local(lab, machine)
    cdroms = {drive["file"] for drive in machine.drives().values() if is_cdrom(drive)}
    for volume in local:
        if volume.volid in cdroms:
            task.log(f"can't migrate local disk '{volume.volid}': local cdrom image")
            raise Fault(500, "migration aborted")
        if lab.backend.running(machine.vmid) and not copies:
            task.log(
                f"can't live migrate attached local disks without with-local-disks option: {volume.volid}"
            )
            raise Fault(500, "migration aborted")
    for volume in local:
        place = lab.storages.volume(target, volume.volid).file
        place.parent.mkdir(parents=True, exist_ok=True)
        volume.file.replace(place)
    machine.node = target
    lab.machines.save(machine)
    task.log("migration finished successfully")


def _local(lab: Lab, machine: Machine) -> list[Volume]:
    """The volumes that the other node does not see; those of `unused` and of pending settings go along."""
    texts = [*machine.config.values(), *machine.pending.values()]
    names = {text.partition(",")[0] for text in texts if f"vm-{machine.vmid}-" in text}
    names |= {drive["file"] for drive in machine.drives().values() if drive["file"] != "none"}
    found = [lab.storages.volume(machine.node, name) for name in sorted(names)]
    return [volume for volume in found if not volume.storage.shared and volume.file.exists()]
