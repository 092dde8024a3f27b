"""What Proxmox tells about a machine beside its configuration: the status, as detail and in lists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.formats import boot_devices, network_card
from bootstrap.lab.pve.schema import properties
from bootstrap.lab.pve.storage import size_of

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine

_PRESSURES = [f"pressure{what}{how}" for what in ("cpu", "io", "memory") for how in ("some", "full")]


def boot_disk_size(machine: Machine) -> int:
    """The size of the first disk of the boot order."""
    drives = machine.drives()
    for slot in [*boot_devices(machine.config.get("boot", "")), *drives]:
        drive = drives.get(slot, {})
        if drive and drive.get("media") != "cdrom":
            return size_of(drive.get("size", "0"))
    return 0


def processors(machine: Machine) -> int:
    return int(machine.config.get("cores", 1)) * int(machine.config.get("sockets", 1))


def memory(machine: Machine) -> int:
    """In bytes."""
    return int(properties(machine.config.get("memory", "512"), "current")["current"]) << 20


def listed(lab: Lab, machine: Machine, *, full: bool = False) -> dict[str, Any]:
    """A line of the node's list of machines; `full` adds what Proxmox asks the running machine for."""
    config, on = machine.config, lab.backend.running(machine.vmid)
    zeros = dict.fromkeys(("cpu", "disk", "mem", "netin", "netout"), 0)
    shown: dict[str, Any] = {"vmid": machine.vmid, "name": config.get("name", f"VM {machine.vmid}"), **zeros}
    shown |= {
        "status": "running" if on else "stopped",
        "uptime": int(time.time() - machine.started) if on else 0,
    }
    shown |= {"cpus": processors(machine), "maxmem": memory(machine), "maxdisk": boot_disk_size(machine)}
    shown |= {key: config[key] for key in ("tags", "lock") if key in config}
    shown |= {"serial": 1} if "serial0" in config else {}
    shown |= {"memhost": 0} if lab.pve != "8.4" else {}
    if on:
        shown["pid"] = machine.pid
        shown |= dict.fromkeys(_PRESSURES, 0) if lab.pve != "8.4" else {}
    if full:
        shown["qmpstatus"] = shown["status"]
        cards = [
            key.removeprefix("net")
            for key in config
            if key.startswith("net") and "bridge" in network_card(config[key])
        ]
        shown |= (
            {"nics": {f"tap{machine.vmid}i{number}": {"netin": 0, "netout": 0} for number in cards}}
            if on and cards
            else {}
        )
    return shown


def has_agent(machine: Machine) -> bool:
    """Whether the configuration says that the guest runs QEMU's agent."""
    return properties(machine.config.get("agent", "0"), "enabled").get("enabled") == "1"


def current(lab: Lab, machine: Machine) -> dict[str, Any]:
    """The status of one machine."""
    shown = listed(lab, machine, full=True) | {"ha": {"managed": 0}}
    shown |= {"agent": 1} if has_agent(machine) else {}
    if "vga" in machine.config:
        shown["clipboard"] = properties(machine.config["vga"], "type").get("clipboard")
    return shown


def container(lab: Lab, known: dict[str, Any]) -> dict[str, Any]:
    """A line of the cluster's list for a container that the plan names."""
    place = {key: known[key] for key in ("node", "vmid")} | {"id": f"lxc/{known['vmid']}", "type": "lxc"}
    if not lab.warmed_up:
        return place | {"status": "unknown"}
    figures = dict.fromkeys(("cpu", "mem", "disk", "netin", "netout", "uptime", "diskread", "diskwrite"), 0)
    figures |= {"memhost": 0} if lab.pve != "8.4" else {}
    usual = {"name": f"ct{known['vmid']}", "maxcpu": lab.cpus, "maxmem": 512 << 20, "maxdisk": 4 << 30}
    state = {"status": "stopped"} if known.get("status", "unknown") == "unknown" else {}
    return {"template": 0, **figures, **usual, **known, **place, **state}


def resource(lab: Lab, machine: Machine) -> dict[str, Any]:
    """A line of the cluster's list, which knows a fresh machine by number and tags only."""
    known = {"id": f"qemu/{machine.vmid}", "type": "qemu", "node": machine.node, "vmid": machine.vmid}
    known |= {key: machine.config[key] for key in ("tags", "lock") if key in machine.config}
    if not lab.reported(machine) or lab.mishaps.down(machine.node):
        return known | {"status": "unknown"}
    pool = lab.access.pool_of(machine.vmid)
    details = listed(lab, machine)
    same = (
        "name",
        "status",
        "cpu",
        "mem",
        "maxmem",
        "disk",
        "maxdisk",
        "netin",
        "netout",
        "uptime",
        "memhost",
    )
    known |= {key: details[key] for key in same if key in details}
    known |= {"maxcpu": details["cpus"], "diskread": 0, "diskwrite": 0, "template": 0}
    return known | ({"pool": pool} if pool else {})
