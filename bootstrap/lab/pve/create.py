"""The endpoint that makes machines: what is asked for first, and the work behind it."""

from __future__ import annotations

import re
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bootstrap.errors import RzpError
from bootstrap.lab.pve import drives, formats, power
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.formats import valid_keys
from bootstrap.lab.pve.options import DRIVES, RULES
from bootstrap.lab.pve.qemu import check_bridges, check_keys, check_privileges, normalise, own_volumes
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_VMID = Rule(kind="integer", required=True, form=formats.vmid)
_CREATE = RULES | {
    "vmid": _VMID,
    **dict.fromkeys(("archive", "import-working-storage", "pool", "storage"), TEXT),
    **dict.fromkeys(("live-restore", "start"), SWITCH),
    **dict.fromkeys(("force", "unique"), Rule(kind="boolean", requires="archive")),
    "bwlimit": WHOLE,
    "ha-managed": Rule(kind="boolean", new=True),
}
_USED = {*RULES, "vmid", "pool", "start"}


@ROUTES.on("POST", "/nodes/{node}/qemu", _CREATE)
async def create(call: Call) -> Any:
    lab, params = call.lab, {key: text for key, text in call.params.items() if key in _USED}
    if "archive" in call.params:
        raise Fault(501, "this lab restores no backups")
    if not valid_keys(unquote(params.get("sshkeys", ""))):
        raise Fault(500, "SSH public key validation error")
    vmid, pool, start = int(params.pop("vmid")), params.pop("pool", ""), params.pop("start", "0") == "1"
    if pool and pool not in lab.access.pools:
        raise Fault(403, f"Permission check failed (pool '{pool}' does not exist)")
    if start and lab.pve != "8.4":
        call.require(f"/vms/{vmid}", "VM.PowerMgmt")
    paths = [f"/vms/{vmid}", *([f"/pool/{pool}"] if pool else [])]
    if not any(call.may(path, "VM.Allocate") for path in paths):
        raise Fault(403, "Permission check failed")
    drives.check_access(call, params)
    check_privileges(call, vmid, params, pool=pool)
    _check_new_devices(call, vmid, params, pool)
    check_bridges(call, params)
    drives.check_drives(call, params)
    machine = lab.machines.claim(call.node, vmid)

    async def work(task: Task) -> None:
        async with lab.machines.locked(vmid, task):
            _build(call, machine, params, task)
            if pool:
                members = lab.access.pools[pool]["vms"]
                lab.access.put_pool(pool, {**lab.access.pools[pool], "vms": [*members, vmid]})
        if start:
            task.log("Execute autostart")
            power.launch(call, vmid)

    undo = partial(_give_back, call, machine)
    return lab.tasks.start(call.node, "qmcreate", str(vmid), call.who, work, undo=undo)


def _give_back(call: Call, machine: Machine) -> None:
    """A create that failed or was stopped leaves no claim; one that was killed does."""
    if machine.config == {"lock": "create"}:
        call.lab.machines.drop(machine.vmid)


def _check_new_devices(call: Call, vmid: int, params: Mapping[str, str], pool: str) -> None:
    for key in params:
        if re.fullmatch(r"serial\d+", key):
            if params[key] != "socket" and not call.who.is_root:
                raise Fault(500, f"only root can set '{key}' config for real devices")
            check_keys(call, vmid, "VM.Config.HWType", pool=pool)


def _build(call: Call, machine: Machine, params: dict[str, str], task: Task) -> None:
    """Makes the disks and then the configuration; a failure takes both away again."""
    lab, made = call.lab, dict[str, str]()
    try:
        for slot in sorted(slot for slot in DRIVES if slot in params):
            made[slot] = drives.make(lab, machine, slot, params[slot], task.log)
        if "tags" in params and lab.pve != "8.4":
            call.require(f"/vms/{machine.vmid}", "VM.Config.Options")
    except (Fault, RzpError, OSError) as error:
        for volid in own_volumes(machine.vmid, made.values()):
            lab.storages.free(machine.node, volid)
        text = error.in_task() if isinstance(error, Fault) else str(error)
        raise Fault(500, f"unable to create VM {machine.vmid} - {text}") from error
    kept = {key: normalise(key, text, pve=lab.pve, creating=True) for key, text in params.items()} | made
    kept = {key: text for key, text in kept.items() if key != "description" or text}
    kept.setdefault("smbios1", f"uuid={uuid.uuid4()}")
    kept.setdefault("vmgenid", str(uuid.uuid4()))
    kept.setdefault("boot", _default_boot(kept))
    kept["meta"] = f"creation-qemu={lab.qemu},ctime={int(time.time())}"
    machine.config = kept
    lab.machines.save(machine)


def _default_boot(config: Mapping[str, str]) -> str:
    """The first disk, the first CD drive, the first network card."""
    slots = [slot for slot in DRIVES if slot in config]
    cds = [slot for slot in slots if "media=cdrom" in config[slot]]
    firsts = [
        [slot for slot in slots if slot not in cds],
        cds,
        [key for key in sorted(config) if key.startswith("net")],
    ]
    order = ";".join(group[0] for group in firsts if group)
    return f"order={order}" if order else " "
