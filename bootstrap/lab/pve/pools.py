"""Endpoints of the pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve import formats
from bootstrap.lab.pve.accounts import words
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import NEEDED, SWITCH, TEXT, Rule

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()


@ROUTES.on("GET", "/pools", {"poolid": TEXT, "type": TEXT})
async def pools(call: Call) -> Any:
    if "poolid" in call.params:
        return [{"poolid": call.params["poolid"], **_pool(call, call.params["poolid"])}]
    return [
        {"poolid": name, **_comment(pool)}
        for name, pool in call.lab.access.pools.items()
        if call.may(f"/pool/{name}", "Pool.Audit")
    ]


def _comment(pool: dict[str, Any]) -> dict[str, Any]:
    return {"comment": pool["comment"]} if "comment" in pool else {}


def _pool(call: Call, name: str) -> dict[str, Any]:
    if name not in call.lab.access.pools:
        raise Fault(500, f"pool '{name}' does not exist")
    machines = call.lab.machines.all
    members = [
        machines[vmid]
        for vmid in call.lab.access.pools[name]["vms"]
        if vmid in machines and call.may(f"/vms/{vmid}", "VM.Audit")
    ]
    shown = [{"id": f"qemu/{vm.vmid}", "vmid": vm.vmid, "node": vm.node, "type": "qemu"} for vm in members]
    return {"members": shown, **_comment(call.lab.access.pools[name])}


@ROUTES.on("POST", "/pools", {"poolid": NEEDED, "comment": TEXT})
async def create_pool(call: Call) -> Any:
    name = call.params["poolid"]
    call.require(f"/pool/{name}", "Pool.Allocate")
    if name in call.lab.access.pools:
        raise Fault(500, f"create pool failed: pool '{name}' already exists")
    call.lab.access.put_pool(name, {"vms": [], **_comment(call.params)})


_MEMBERS = {
    "comment": TEXT,
    "vms": Rule(form=formats.vmids),
    "storage": TEXT,
    "delete": SWITCH,
    "allow-move": SWITCH,
}


async def _update_pool(call: Call, name: str) -> None:
    call.require(f"/pool/{name}", "Pool.Allocate")
    _pool(call, name)
    entry = call.lab.access.pools[name]
    members, takes = list(entry["vms"]), call.params.get("delete") == "1"
    for vmid in map(int, words(call.params.get("vms", ""))):
        if takes != (vmid in members):
            raise Fault(
                500, f"update pools failed: VM {vmid} is {'not' if takes else 'already'} a pool member"
            )
        members = [member for member in members if member != vmid] if takes else [*members, vmid]
    call.lab.access.put_pool(name, {**entry, **_comment(call.params), "vms": members})


@ROUTES.on("PUT", "/pools", {**_MEMBERS, "poolid": NEEDED})
async def update_pools(call: Call) -> Any:
    await _update_pool(call, call.params["poolid"])
