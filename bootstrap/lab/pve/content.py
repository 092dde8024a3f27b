"""Endpoints of the storages: definitions, status, and the volumes on them."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule
from bootstrap.lab.pve.storage import FOLDERS, Storage

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.storage import Volume
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
ONE = "/nodes/{node}/storage/{storage}"
READERS = ("Datastore.Audit", "Datastore.AllocateSpace")
_READS = ("/storage/{storage}", *READERS)
_KINDS = (*FOLDERS, "images", "rootdir")
_DEFINITION = {
    "content": TEXT,
    "disable": SWITCH,
    "shared": SWITCH,
    "nodes": TEXT,
    "prune-backups": TEXT,
    "digest": TEXT,
}


def _readable(call: Call) -> list[Storage]:
    return [one for name, one in call.lab.storages.all.items() if call.may(f"/storage/{name}", *READERS)]


def _definition(call: Call, one: Storage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "storage": one.storage,
        "type": one.type,
        "content": one.content,
        "path": one.path,
    }
    shown |= {key: 1 for key in ("shared", "disable") if getattr(one, key)}
    shown |= {"prune-backups": "keep-all=1"} if "backup" in one.contents else {}
    return shown | {"digest": call.lab.storages.digest()}


@ROUTES.on("GET", "/storage", {"type": TEXT})
async def definitions(call: Call) -> Any:
    return [
        _definition(call, one) for one in _readable(call) if call.params.get("type", one.type) == one.type
    ]


@ROUTES.on("GET", "/storage/{storage}", allow=("/storage/{storage}", "Datastore.Allocate"))
async def definition(call: Call) -> Any:
    return _definition(call, call.lab.storages.get(call.path["storage"]))


@ROUTES.on("PUT", "/storage/{storage}", _DEFINITION, allow=("/storage", "Datastore.Allocate"))
async def redefine(call: Call) -> Any:
    one, wants = call.lab.storages.get(call.path["storage"]), call.params
    disable, shared = call.integer("disable", one.disable), call.integer("shared", one.shared)
    call.lab.storages.define(
        dataclasses.replace(one, content=wants.get("content", one.content), disable=disable, shared=shared)
    )
    return {"storage": one.storage, "type": one.type}


def _status(call: Call, one: Storage) -> dict[str, Any]:
    disk, on = shutil.disk_usage(call.lab.state), not one.disable
    figures = (
        {"total": disk.total, "used": disk.used, "avail": disk.free}
        if on
        else {"total": 0, "used": 0, "avail": 0}
    )
    return {
        "type": one.type,
        "content": one.content,
        "shared": one.shared,
        "active": int(on),
        "enabled": int(on),
        **figures,
    }


_LIST = {"content": TEXT, "enabled": SWITCH, "format": SWITCH, "storage": TEXT, "target": TEXT}


@ROUTES.on("GET", "/nodes/{node}/storage", _LIST)
async def statuses(call: Call) -> Any:
    wants = call.params
    chosen = [
        one
        for one in _readable(call)
        if wants.get("storage", one.storage) == one.storage
        and (not (kinds := wants.get("content", "")) or {*kinds.split(",")} & {*one.contents})
        and not (wants.get("enabled") == "1" and one.disable)
    ]
    shown = [{"storage": one.storage, **_status(call, one)} for one in chosen]
    return [one | ({"used_fraction": one["used"] / one["total"]} if one["total"] else {}) for one in shown]


@ROUTES.on("GET", f"{ONE}/status", allow=_READS)
async def status(call: Call) -> Any:
    if call.path["storage"] not in call.lab.storages.all:
        raise invalid(storage="No such storage.")
    return _status(call, call.lab.storages.get(call.path["storage"]))


@ROUTES.on(
    "GET",
    f"{ONE}/content",
    {"content": Rule(choices=_KINDS), "vmid": Rule(kind="integer", minimum=100)},
    allow=_READS,
)
async def volumes(call: Call) -> Any:
    """What is on the storage. Machines' disks are shown to those only who may audit the storage."""
    one, wants = call.lab.storages.get(call.path["storage"]), call.params
    audits = call.may(f"/storage/{one.storage}", "Datastore.Audit")
    return [
        volume.listed()
        for volume in call.lab.storages.volumes(call.node, one)
        if (audits or not volume.vmid)
        and wants.get("content", volume.kind) == volume.kind
        and _belongs(volume, wants.get("vmid"))
    ]


def _belongs(volume: Volume, vmid: str | None) -> bool:
    """Who asks for a machine's volumes gets no ISOs and templates, but images to import."""
    if vmid is None or volume.kind in ("import", "snippets"):
        return True
    return str(volume.vmid) == vmid


def _volid(call: Call) -> str:
    name = call.path["volume"]
    return name if ":" in name else f"{call.path['storage']}:{name}"


@ROUTES.on("GET", f"{ONE}/content/{{volume}}", allow=("/storage/{storage}", *reversed(READERS)))
async def volume(call: Call) -> Any:
    volid = _volid(call)
    found = call.lab.storages.volume(call.node, volid)
    if not found.file.exists():
        raise Fault(500, f"volume_size_info on '{volid}' failed - no format")
    form = "raw" if found.kind == "iso" else found.format
    return {
        "path": found.shown_path,
        "size": found.size(),
        "used": found.file.stat().st_blocks * 512,
        "format": form,
    }


@ROUTES.on("DELETE", f"{ONE}/content/{{volume}}", {"delay": Rule(kind="integer", minimum=1, maximum=30)})
async def remove(call: Call) -> Any:
    volid = _volid(call)
    found = call.lab.storages.volume(call.node, volid)
    if not found.vmid or not call.may(f"/vms/{found.vmid}", "VM.Config.Disk"):
        call.require(f"/storage/{found.storage.storage}", "Datastore.Allocate")
    if found.vmid in call.lab.machines.all:
        raise Fault(500, f"Cannot remove image, a guest with VMID '{found.vmid}' exists!")

    async def work(task: Task) -> None:
        if not call.lab.storages.free(call.node, volid):
            task.log(f"disk image '{found.shown_path}' does not exist")
        task.log(f"Removed volume '{volid}'")

    upid = call.lab.tasks.start(call.node, "imgdel", found.storage.storage, call.who, work)
    if "delay" not in call.params:
        return upid
    task = await call.lab.tasks.wait(upid, call.integer("delay"))
    return None if task and task.exitstatus == "OK" else upid
