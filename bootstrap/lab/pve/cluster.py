"""Endpoints of the cluster and its nodes."""

from __future__ import annotations

import os
import platform
import shutil
import time
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve import formats, status
from bootstrap.lab.pve.fault import invalid
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import TEXT, Rule

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()


@ROUTES.on("GET", "/version")
@ROUTES.on("GET", "/nodes/{node}/version")
async def version(call: Call) -> Any:
    return call.lab.version


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _figures(call: Call, node: str) -> dict[str, Any]:
    """The node's status, with figures for those who may audit it."""
    if not call.lab.warmed_up:
        return {"status": "unknown"}
    if call.lab.mishaps.down(node):
        return {"status": "offline", "level": ""}
    shown: dict[str, Any] = {"status": "online", "level": ""}
    if not call.may(f"/nodes/{node}", "Sys.Audit"):
        return shown
    disk = shutil.disk_usage(call.lab.state)
    shown |= {
        "cpu": 0,
        "maxcpu": call.lab.cpus,
        "mem": 0,
        "maxmem": _memory(),
        "uptime": int(time.monotonic()),
    }
    return shown | {"disk": disk.used, "maxdisk": disk.total}


@ROUTES.on("GET", "/nodes")
async def nodes(call: Call) -> Any:
    lab = call.lab
    own = {"type": "node", "ssl_fingerprint": lab.fingerprint}
    return [{"id": f"node/{node}", "node": node, **own, **_figures(call, node)} for node in lab.nodes]


@ROUTES.on("GET", "/nodes/{node}/status", allow=("/nodes/{node}", "Sys.Audit"))
async def node_status(call: Call) -> Any:
    lab, disk, memory, here = call.lab, shutil.disk_usage(call.lab.state), _memory(), platform.uname()
    processor = {
        "cpus": lab.cpus,
        "cores": lab.cpus,
        "sockets": 1,
        "model": "lab",
        "flags": "",
        "mhz": "1000.000",
    }
    kernel = {
        "sysname": here.system,
        "release": here.release,
        "version": here.version,
        "machine": here.machine,
    }
    return {
        "pveversion": f"pve-manager/{lab.version['version']}/{lab.version['repoid']}",
        "cpu": 0,
        "cpuinfo": processor
        | {"hvm": "", "user_hz": 100}
        | ({"family": "0", "vendor": "lab"} if lab.pve != "8.4" else {}),
        "memory": {"total": memory, "used": 0, "free": memory}
        | ({"available": memory} if lab.pve != "8.4" else {}),
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {
            "total": disk.total,
            "used": disk.used,
            "avail": disk.free,
            "free": disk.total - disk.used,
        },
        "loadavg": [f"{load:.2f}" for load in os.getloadavg()],
        **dict.fromkeys(("wait", "idle"), 0),
        "ksm": {"shared": 0},
        "boot-info": {"mode": "legacy-bios"},
        "kversion": f"{here.system} {here.release} {here.version}",
        "current-kernel": kernel,
        "uptime": int(time.monotonic()),
    }


@ROUTES.on("GET", "/nodes/{node}/network", {"type": TEXT})
async def network(call: Call) -> Any:
    plan, kind = call.lab.plan, call.params.get("type", "")
    bridge = plan["bridge"]
    if kind not in ("", "bridge", "any_bridge", "any_local_bridge", "include_sdn") or not _may_use_bridge(
        call, bridge
    ):
        return []
    prefix = plan["ipv4"]["network"].partition("/")[2]
    address = plan.get("node_address", plan["ipv4"]["gateway"])
    shown = {
        "iface": bridge,
        "type": "bridge",
        "active": 1,
        "autostart": 1,
        "method": "static",
        "method6": "manual",
        "priority": 3,
    }
    shown |= {
        "address": address,
        "netmask": prefix,
        "cidr": f"{address}/{prefix}",
        "gateway": plan["ipv4"]["gateway"],
    }
    return [shown | {"bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0", "families": ["inet"]}]


def _may_use_bridge(call: Call, bridge: str) -> bool:
    return call.may(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use", "SDN.Audit") or call.may(
        f"/nodes/{call.node}", "Sys.Modify"
    )


@ROUTES.on("GET", "/cluster/status", allow=("/", "Sys.Audit"))
async def cluster_status(call: Call) -> Any:
    lab, numbered = call.lab, enumerate(call.lab.nodes, 1)
    total, up = len(lab.nodes), sum(not lab.mishaps.down(node) for node in lab.nodes)
    whole = {"id": "cluster", "type": "cluster", "name": "rzp-lab", "version": total, "nodes": total}
    return [whole | {"quorate": int(up * 2 > total)}] * (total > 1) + [
        {
            "id": f"node/{name}",
            "name": name,
            "type": "node",
            "nodeid": n,
            "online": int(not lab.mishaps.down(name)),
            "local": int(n == 1),
            "level": "",
        }
        for n, name in numbered
    ]


@ROUTES.on("GET", "/cluster/resources", {"type": Rule(choices=("vm", "storage", "node", "sdn"))})
async def resources(call: Call) -> Any:
    lab, kind = call.lab, call.params.get("type", "")
    found: list[dict[str, Any]] = []
    if not kind:
        found += [
            {"id": f"/pool/{name}", "pool": name, "type": "pool"}
            for name in lab.access.pools
            if call.may(f"/pool/{name}", "Pool.Audit")
        ]
    if kind in ("", "vm"):
        seen = (vm for vm in lab.machines.all.values() if call.may(f"/vms/{vm.vmid}", "VM.Audit"))
        found += [status.resource(lab, vm) for vm in seen]
        held = (one for vmid, one in lab.machines.containers.items() if call.may(f"/vms/{vmid}", "VM.Audit"))
        found += [status.container(lab, one) for one in held]
    if kind in ("", "node"):
        warm = {"cgroup-mode": 2} if lab.warmed_up else {}
        found += [
            {"id": f"node/{node}", "node": node, "type": "node", **_figures(call, node), **warm}
            for node in lab.nodes
        ]
    if kind in ("", "storage"):
        found += _storages(call)
    if lab.pve != "8.4" and kind in ("", "network") and call.may("/sdn/zones/localnetwork", "SDN.Audit"):
        zone = {"type": "network", "network": "localnetwork", "network-type": "zone", "status": "ok"}
        found += [{"id": f"network/{node}/zone/localnetwork", "node": node, **zone} for node in lab.nodes]
    return found


def _storages(call: Call) -> list[dict[str, Any]]:
    lab, disk = call.lab, shutil.disk_usage(call.lab.state)
    figures = (
        {"disk": disk.used, "maxdisk": disk.total, "status": "available"}
        if lab.warmed_up
        else {"status": "unknown"}
    )
    return [
        {
            "id": f"storage/{node}/{one.storage}",
            "type": "storage",
            "storage": one.storage,
            "node": node,
            "plugintype": one.type,
        }
        | {"shared": one.shared, "content": one.content}
        | ({"status": "unknown"} if lab.mishaps.down(node) else figures)
        for node in lab.nodes
        for one in lab.storages.all.values()
        if call.may(f"/storage/{one.storage}", "Datastore.Audit")
    ]


@ROUTES.on("GET", "/cluster/nextid", {"vmid": Rule(kind="integer", form=formats.vmid)})
async def next_id(call: Call) -> Any:
    taken = {*call.lab.machines.all, *call.lab.machines.containers}
    if "vmid" in call.params:
        if int(call.params["vmid"]) in taken:
            raise invalid(vmid=f"VM {call.params['vmid']} already exists")
        return call.params["vmid"]
    return str(next(vmid for vmid in range(100, 10**9) if vmid not in taken))


@ROUTES.on("GET", "/cluster/options")
async def options(call: Call) -> Any:
    seen = (vm for vm in call.lab.machines.all.values() if call.may(f"/vms/{vm.vmid}", "VM.Audit"))
    tags = sorted({tag.lower() for vm in seen for tag in formats.split_tags(vm.config.get("tags", ""))})
    more = {"mac_prefix": "BC:24:11", "description": ""} if call.may("/", "Sys.Audit") else {}
    return {"allowed-tags": tags, **more}
