"""Endpoints of the machines: lists, configuration, create, destroy."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bootstrap.errors import RzpError
from bootstrap.lab.pve import drives, formats, power, status
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import CARD, network_card, split_tags, valid_keys
from bootstrap.lab.pve.machines import typed
from bootstrap.lab.pve.options import DRIVES, OPTIONS, RULES
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, Rule, properties, switched

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


def check_keys(call: Call, vmid: int, *privileges: str, pool: str = "") -> None:
    """Whether one of the privileges holds for the machine, or for the pool that it shall be in."""
    if not (pool and call.may(f"/pool/{pool}", *privileges)):
        call.require(f"/vms/{vmid}", *privileges)


def check_privileges(call: Call, vmid: int, keys: Iterable[str], *, pool: str = "") -> None:
    """Whether the caller may change these options. Drives, serial ports and tags are asked for elsewhere."""
    if call.who.is_root:
        return
    for key in keys:
        if key in DRIVES or re.fullmatch(r"(unused|serial)\d+|tags", key):
            continue
        privilege = OPTIONS[key].privilege
        if not privilege:
            raise Fault(500, f"only root can set '{key}' config")
        others = ["VM.Config.Network"] if privilege == "VM.Config.Cloudinit" else []
        check_keys(call, vmid, privilege, *others, pool=pool)
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
        card = switched(CARD, network_card(text))
        mac = card.pop("macaddr", "") or "BC:24:11:" + ":".join(
            f"{byte:02X}" for byte in secrets.token_bytes(3)
        )
        return ",".join(
            [f"{card.pop('model')}={mac}", *sorted(f"{name}={value}" for name, value in card.items())]
        )
    return text


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

    return lab.tasks.start(call.node, "qmcreate", str(vmid), call.who, work)


def _check_new_devices(call: Call, vmid: int, params: Mapping[str, str], pool: str) -> None:
    for key in params:
        if key in DRIVES and properties(params[key]).get("media") != "cdrom":
            check_keys(call, vmid, "VM.Config.Disk", pool=pool)
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
    machine.check_protection(f"can't remove VM {vmid}")
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
