"""Endpoints of the pools: the new form with `poolid` as a parameter, and the old one with it in the path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve import formats, status
from bootstrap.lab.pve.access import modifiers
from bootstrap.lab.pve.accounts import words
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()
OLD = "/pools/{poolid}"


def _name(_: str, text: str) -> str:
    parts = text.split("/")
    if len(parts) > 3:
        return f"pool name '{text}' nested too deeply (max levels = 3)\n"
    good = all(re.fullmatch(r"[A-Za-z0-9._-]+", part) for part in parts)
    return "" if good else f"pool name '{text}' contains invalid characters\n"


def _vmids(name: str, text: str) -> str:
    return next((wrong for one in words(text) if (wrong := formats.vmid(name, one))), "")


_POOL = {"poolid": Rule(required=True, form=_name)}
_KIND = {"type": Rule(choices=("qemu", "lxc", "storage"))}


def _poolid(call: Call) -> str:
    return call.path.get("poolid") or call.params["poolid"]


@ROUTES.on("GET", "/pools", {"poolid": Rule(form=_name), **_KIND})
async def pools(call: Call) -> Any:
    if "poolid" in call.params:
        return [_pool(call)]
    return [
        {"poolid": name, **_comment(pool)}
        for name, pool in sorted(call.lab.access.pools.items())
        if call.may(f"/pool/{name}", "Pool.Audit")
    ]


@ROUTES.on("GET", OLD, _KIND, allow=("/pool/{poolid}", "Pool.Audit"))
async def pool(call: Call) -> Any:
    return _pool(call)


def _comment(pool: dict[str, Any]) -> dict[str, Any]:
    return {"comment": pool["comment"]} if "comment" in pool else {}


def _entry(call: Call, where: str = "") -> dict[str, Any]:
    if _poolid(call) not in call.lab.access.pools:
        raise Fault(500, f"{where}pool '{_poolid(call)}' does not exist")
    return call.lab.access.pools[_poolid(call)]


def _pool(call: Call) -> dict[str, Any]:
    entry, kind, lab = _entry(call), call.params.get("type", "qemu"), call.lab
    machines = [lab.machines.all[vmid] for vmid in sorted(entry["vms"]) if vmid in lab.machines.all]
    shown = [status.resource(lab, machine) for machine in machines] if kind == "qemu" else []
    hidden = ("tags", "pool", "lock")
    members = [{key: value for key, value in one.items() if key not in hidden} for one in shown]
    return {"poolid": _poolid(call), "members": members, **_comment(entry)}


@ROUTES.on("POST", "/pools", {**_POOL, "comment": TEXT})
async def create_pool(call: Call) -> Any:
    name, pools = call.params["poolid"], call.lab.access.pools
    call.require(f"/pool/{name}", "Pool.Allocate")
    parent, _, leaf = name.rpartition("/")
    wrong = ""
    if name in pools:
        wrong = f"pool '{name}' already exists"
    elif parent and parent not in pools:
        wrong = f"parent '{parent}' of pool '{name}' does not exist"
    elif not leaf[0].isalpha():
        wrong = "pool name must start with a letter"
    if wrong:
        raise Fault(500, f"create pool failed: {wrong}")
    call.lab.access.put_pool(name, {"vms": [], **_comment(call.params)})


_MEMBERS = {
    "comment": TEXT,
    "vms": Rule(form=_vmids),
    "storage": TEXT,
    "delete": SWITCH,
    "allow-move": SWITCH,
}


@ROUTES.on("PUT", "/pools", {**_MEMBERS, **_POOL})
@ROUTES.on("PUT", OLD, _MEMBERS)
async def update_pool(call: Call) -> Any:
    """All of it or nothing."""
    name = _poolid(call)
    call.require(f"/pool/{name}", "Pool.Allocate")
    entry = _entry(call, "update pools failed: ")
    changed: dict[str, list[int]] = {name: list(entry["vms"])}
    try:
        for vmid in words(call.params.get("vms", "")):
            call.require(f"/vms/{vmid}", *modifiers(f"/vms/{vmid}"))
            _move(call, name, int(vmid), changed)
    except Fault as fault:
        raise Fault(500, f"update pools failed: {fault.in_task()}") from fault
    for pool, vms in changed.items():
        comment = _comment(call.params) if pool == name else {}
        call.lab.access.put_pool(pool, {**call.lab.access.pools[pool], **comment, "vms": vms})


def _move(call: Call, name: str, vmid: int, changed: dict[str, list[int]]) -> None:
    members, removes = changed[name], call.params.get("delete") == "1"
    if removes != (vmid in members):
        raise Fault(500, f"VM {vmid} is {'not' if removes else 'already'} a pool member")
    if removes:
        members.remove(vmid)
        return
    other = call.lab.access.pool_of(vmid)
    if other:
        if call.params.get("allow-move") != "1":
            raise Fault(500, f"VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set")
        call.require(f"/pool/{other}", "Pool.Allocate")
        changed.setdefault(other, list(call.lab.access.pools[other]["vms"])).remove(vmid)
    members.append(vmid)


@ROUTES.on("DELETE", "/pools", _POOL)
@ROUTES.on("DELETE", OLD)
async def delete_pool(call: Call) -> Any:
    name, access = _poolid(call), call.lab.access
    call.require(f"/pool/{name}", "Pool.Allocate")
    inside = [f"pool '{one}'" for one in sorted(access.pools) if one.rpartition("/")[0] == name]
    inside += [
        f"VM {vmid}" for vmid in _entry(call, "delete pool failed: ")["vms"] if vmid in call.lab.machines.all
    ]
    if inside:
        raise Fault(500, f"delete pool failed: pool '{name}' is not empty (contains {inside[0]})")
    access.drop_pool(name)
