"""A fleet: the demo environment with any number of machines, and the same machines in a lab, finished and running."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from bootstrap.config import demo
from bootstrap.config.base import Environment
from bootstrap.config.network import Subnet4
from bootstrap.live import SEED_SLOT
from bootstrap.machine import Machine
from bootstrap.proxmox import machines
from tests.bootstrap.conftest import Lab

# As many as one pool may have.
_POOL = 100
_START_LIMIT = 120.0


def environment(endpoint: dict[str, Any], count: int, *, parallel: int = 3) -> Environment:
    """One server and `count` - 1 agents. A smaller fleet is a part of every larger one."""
    small = demo.build(endpoint)
    network = Subnet4(network=IPv4Network("10.77.0.0/20"), gateway=IPv4Address("10.77.0.1"))
    agents = tuple(
        small.agents[0].model_copy(
            update={
                "name": f"agent{first // _POOL}",
                "count": min(_POOL, count - 1 - first),
                "first_vmid": 930 + first,
                "first_host": 30 + first,
            }
        )
        for first in range(0, count - 1, _POOL)
    )
    changes = {
        "proxmox": small.proxmox.model_copy(update={"parallel": parallel}),
        "network": small.network.model_copy(update={"ipv4": network}),
        "vmids": (920, 930 + count),
        "agents": agents,
    }
    return Environment.model_validate({**dict(small), **changes})


def furnish(lab: Lab, wanted: Sequence[Machine]) -> None:
    """Make the machines as root: as the client asks for them, with empty system disks and without seeds."""
    root = lab.root()
    there = {entry["vmid"] for entry in root.get("/nodes/pve1/qemu")}
    for machine in wanted:
        if machine.vmid not in there:
            disks = {disk.slot: f"{disk.storage}:{disk.gib}" for disk in machine.disks}
            own = {**disks, SEED_SLOT: "none,media=cdrom", "start": True}
            root.post("/nodes/pve1/qemu", {**machines.parameters(machine, lab.environment), **own})
    deadline = time.monotonic() + _START_LIMIT
    while sum(entry["status"] == "running" for entry in root.get("/nodes/pve1/qemu")) < len(wanted):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the lab has not started {len(wanted)} machines in {_START_LIMIT:.0f} s")
        time.sleep(0.05)
