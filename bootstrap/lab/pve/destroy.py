"""The endpoint that destroys machines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.qemu import VM, own_volumes, skips_lock
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH

if TYPE_CHECKING:
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_DESTROY = {"purge": SWITCH, "destroy-unreferenced-disks": SWITCH, "skiplock": SWITCH}


def _may_go(call: Call) -> Machine:
    machine = call.lab.machines.find(call.node, call.vmid)
    machine.check_protection(f"can't remove VM {call.vmid}")
    if call.lab.backend.running(call.vmid):
        raise Fault(500, f"VM {call.vmid} is running - destroy failed")
    return machine


@ROUTES.on("DELETE", VM, _DESTROY, allow=("/vms/{vmid}", "VM.Allocate"))
async def destroy(call: Call) -> Any:
    lab, skips = call.lab, skips_lock(call)
    _may_go(call)

    async def work(task: Task) -> None:
        async with lab.machines.locked(call.vmid, task):
            machine = _may_go(call)
            if not skips:
                machine.check_lock()
            await lab.backend.erase(call.vmid)
            _free_disks(call, machine, task)
            await asyncio.sleep(lab.machines.pace)
            lab.access.forget_machine(call.vmid)
            if call.params.get("purge") == "1":
                task.log(f"purging VM {call.vmid} from related configurations..")
            lab.machines.drop(call.vmid)

    return lab.tasks.start(call.node, "qmdestroy", str(call.vmid), call.who, work)


def _free_disks(call: Call, machine: Machine, task: Task) -> None:
    """Takes its disks, and keeps its number until all is gone."""
    storages = call.lab.storages
    disks = own_volumes(machine.vmid, [*machine.config.values(), *machine.pending.values()])
    for volid in dict.fromkeys(disks):
        if not storages.free(machine.node, volid):
            task.log(f"disk image '{storages.volume(machine.node, volid).shown_path}' does not exist")
    if call.params.get("destroy-unreferenced-disks") == "1":
        mine = [one for storage in storages.all.values() for one in storages.volumes(machine.node, storage)]
        for volume in mine:
            if volume.vmid == machine.vmid:
                storages.free(machine.node, volume.volid)
    machine.config, machine.pending, machine.removals = {"lock": "destroyed"}, {}, []
    call.lab.machines.save(machine)
