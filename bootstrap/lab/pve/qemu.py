"""Endpoints of the machines: lists, configuration, create, destroy."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve import status
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import CARD, network_card, split_tags
from bootstrap.lab.pve.machines import typed
from bootstrap.lab.pve.options import DRIVES, OPTIONS
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bootstrap.lab.pve.routes import Call

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


def skips_lock(call: Call) -> bool:
    """Whether the caller may, and wants to, work on a locked machine."""
    wants = call.params.get("skiplock") == "1"
    if wants and not call.who.is_root:
        raise invalid(skiplock="Only root may use this option.")
    return wants


def own_volumes(vmid: int, texts: Iterable[str]) -> list[str]:
    return [volid for text in texts if f"vm-{vmid}-" in (volid := text.partition(",")[0])]
