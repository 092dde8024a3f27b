"""Endpoints of the machines: lists, configuration, create, destroy."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any

from bootstrap.errors import RzpError
from bootstrap.lab.pve import drives, formats, power, status
from bootstrap.lab.pve.fault import Fault, denied, invalid
from bootstrap.lab.pve.formats import network_card, split_tags
from bootstrap.lab.pve.machines import typed
from bootstrap.lab.pve.options import DRIVES, OPTIONS, ROOT_ONLY, RULES
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule, properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
VM = "/nodes/{node}/qemu/{vmid}"
_SEES = ("/vms/{vmid}", "VM.Audit")
_SUBFOLDERS = """config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd rrddata monitor agent snapshot spiceproxy
sendkey firewall mtunnel remote_migrate"""


@ROUTES.on("GET", "/nodes/{node}/qemu", {"full": SWITCH})
async def machines(call: Call) -> Any:
    full = call.params.get("full") == "1"
    own = (vm for vm in call.lab.machines.all.values() if vm.node == call.node)
    return [status.listed(call.lab, vm, full=full) for vm in own if call.may(f"/vms/{vm.vmid}", "VM.Audit")]


@ROUTES.on("GET", "/nodes/{node}/lxc")
async def containers(_: Call) -> Any:
    return []


@ROUTES.on("GET", VM)
async def index(_: Call) -> Any:
    return [{"subdir": name} for name in _SUBFOLDERS.split()]


@ROUTES.on("GET", f"{VM}/config", {"current": SWITCH, "snapshot": TEXT}, allow=_SEES)
async def config(call: Call) -> Any:
    return call.lab.machines.find(call.node, call.vmid).shown(current=call.params.get("current") == "1")


@ROUTES.on("GET", f"{VM}/pending", allow=_SEES)
async def pending(call: Call) -> Any:
    machine = call.lab.machines.find(call.node, call.vmid)
    found: list[dict[str, Any]] = [{"key": "digest", "value": machine.digest}]
    for key in sorted({*machine.config, *machine.pending}):
        entry: dict[str, Any] = {"key": key}
        entry |= {"value": typed(key, machine.config[key])} if key in machine.config else {}
        entry |= {"pending": typed(key, machine.pending[key])} if key in machine.pending else {}
        found.append(entry | ({"delete": 1} if key in machine.removals else {}))
    return found


@ROUTES.on("GET", f"{VM}/status/current", allow=_SEES)
async def current(call: Call) -> Any:
    return status.current(call.lab, call.lab.machines.find(call.node, call.vmid))


def check_privileges(
    call: Call, vmid: int, keys: Iterable[str], *, pool: str = "", cdroms: Iterable[str] = ()
) -> None:
    """Whether the caller may change these options; machine and pool both count."""
    for key in keys:
        if key in ROOT_ONLY and not call.who.is_root:
            raise Fault(500, f"only root can set '{key}' config")
        wanted = [OPTIONS[key].privilege if key in OPTIONS else "VM.Config.Disk"]
        if key in cdroms:
            wanted = ["VM.Config.CDROM"]
        if wanted == ["VM.Config.Cloudinit"]:
            wanted.append("VM.Config.Network")
        if not call.may(f"/vms/{vmid}", *wanted) and not (pool and call.may(f"/pool/{pool}", *wanted)):
            raise denied(f"/vms/{vmid}", wanted[0])
        if key == "startup":
            call.require("/", "Sys.Modify")


def check_bridges(call: Call, params: Mapping[str, str]) -> None:
    for key, text in params.items():
        card = network_card(text) if key.startswith("net") and key in OPTIONS else {}
        if bridge := card.get("bridge"):
            path = f"/sdn/zones/localnetwork/{bridge}"
            call.require(f"{path}/{card['tag']}" if "tag" in card else path, "SDN.Use")


def normalise(key: str, text: str, *, pve: str = "9.2", creating: bool = False) -> str:
    """The text as the configuration keeps it; drives excepted."""
    if key == "tags" and not (creating and pve == "8.4"):
        return ";".join(sorted({tag.lower() for tag in split_tags(text)})) or " "
    if key == "description":
        return text.rstrip()
    if key.startswith("net") and key in OPTIONS:
        card = network_card(text)
        mac = card.pop("macaddr", "") or "BC:24:11:" + ":".join(
            f"{byte:02X}" for byte in secrets.token_bytes(3)
        )
        return ",".join(
            [f"{card.pop('model')}={mac}", *sorted(f"{name}={value}" for name, value in card.items())]
        )
    return text


_CREATE = RULES | {"vmid": Rule(required=True, form=formats.vmid), "pool": TEXT, "start": SWITCH}


@ROUTES.on("POST", "/nodes/{node}/qemu", _CREATE)
async def create(call: Call) -> Any:
    lab, params = call.lab, dict(call.params)
    vmid, pool, start = int(params.pop("vmid")), params.pop("pool", ""), params.pop("start", "0") == "1"
    if pool and pool not in lab.access.pools:
        raise Fault(403, f"Permission check failed (pool '{pool}' does not exist)")
    if start and lab.pve != "8.4":
        call.require(f"/vms/{vmid}", "VM.PowerMgmt")
    if not call.may(f"/vms/{vmid}", "VM.Allocate") and not (
        pool and call.may(f"/pool/{pool}", "VM.Allocate")
    ):
        raise Fault(403, "Permission check failed")
    drives.check_drives(call, params)
    keys = [key for key in params if properties(params[key]).get("media") != "cdrom"]
    check_privileges(call, vmid, keys, pool=pool)
    check_bridges(call, params)
    machine = lab.machines.claim(call.node, vmid)

    async def work(task: Task) -> None:
        async with lab.machines.locked(vmid, task):
            _build(lab, machine, params, task)
            if pool:
                lab.access.put_pool(
                    pool, {**lab.access.pools[pool], "vms": [*lab.access.pools[pool]["vms"], vmid]}
                )
        if start:
            await power.start_machine(lab, call.node, vmid, task)

    return lab.tasks.start(call.node, "qmcreate", str(vmid), call.who, work)


def _build(lab: Lab, machine: Machine, params: dict[str, str], task: Task) -> None:
    """Makes the disks and then the configuration; a failure takes both away again."""
    made: dict[str, str] = {}
    try:
        for slot in sorted(slot for slot in DRIVES if slot in params):
            made[slot] = drives.make(lab, machine, slot, params[slot], task.log)
    except (Fault, RzpError, OSError) as error:
        for volid in _volumes(machine.vmid, made.values()):
            lab.storages.free(machine.node, volid)
        lab.machines.drop(machine.vmid)
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


def _volumes(vmid: int, texts: Iterable[str]) -> list[str]:
    return [volid for text in texts if f"vm-{vmid}-" in (volid := text.partition(",")[0])]


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


def skips_lock(call: Call) -> bool:
    """Whether the caller may, and wants to, work on a locked machine."""
    wants = call.params.get("skiplock") == "1"
    if wants and not call.who.is_root:
        raise invalid(skiplock="Only root may use this option.")
    return wants


_DESTROY = {"purge": SWITCH, "destroy-unreferenced-disks": SWITCH, "skiplock": SWITCH}


@ROUTES.on("DELETE", VM, _DESTROY, allow=("/vms/{vmid}", "VM.Allocate"))
async def destroy(call: Call) -> Any:
    lab, vmid, purge, skips = call.lab, call.vmid, call.params.get("purge") == "1", skips_lock(call)
    machine = lab.machines.find(call.node, vmid)
    if machine.config.get("protection") == "1":
        raise Fault(500, f"can't remove VM {vmid} - protection mode enabled")
    if lab.backend.running(vmid):
        raise Fault(500, f"VM {vmid} is running - destroy failed")

    async def work(task: Task) -> None:
        async with lab.machines.locked(vmid, task):
            if not skips:
                lab.machines.find(call.node, vmid).check_lock()
            if lab.backend.running(vmid):
                raise Fault(500, f"VM {vmid} is running - destroy failed")
            await lab.backend.erase(vmid)
            _forget(lab, machine, task, purge=purge)

    return lab.tasks.start(call.node, "qmdestroy", str(vmid), call.who, work)


def _forget(lab: Lab, machine: Machine, task: Task, *, purge: bool) -> None:
    for volid in _volumes(machine.vmid, [*machine.config.values(), *machine.pending.values()]):
        lab.storages.free(machine.node, volid)
    lab.access.forget_path(f"/vms/{machine.vmid}")
    pool = lab.access.pool_of(machine.vmid)
    if purge:
        task.log(f"purging VM {machine.vmid} from related configurations..")
    if pool and purge:
        rest = [vmid for vmid in lab.access.pools[pool]["vms"] if vmid != machine.vmid]
        lab.access.put_pool(pool, {**lab.access.pools[pool], "vms": rest})
    lab.machines.drop(machine.vmid)
