"""A run of the tool in a process of its own, which is killed (SIGKILL) with the answer to its n-th call."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter

from bootstrap.config.pool import DataDisk
from bootstrap.machine import Disk, Machine
from bootstrap.plan import Plan, destroy
from bootstrap.proxmox import tasks
from tests.bootstrap.conftest import Lab


class Fatal(BaseAdapter):
    """Passes calls on; the process dies with the n-th answer, of whichever thread: it happened, and nobody heard of it."""

    count = 0
    lock = threading.Lock()

    def __init__(self, real: BaseAdapter, calls: int) -> None:
        super().__init__()
        self.real = real
        self.calls = calls

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        answer = self.real.send(request, **options)
        with self.lock:
            Fatal.count += 1
            if Fatal.count == self.calls:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    def close(self) -> None:
        self.real.close()


def with_machines(lab: Lab, count: int) -> Lab:
    """The lab for an environment of one machine, or of two."""
    lab.environment = Lab(lab.endpoint, lab.state).environment
    if count == 1:
        server = lab.environment.servers.model_copy(update={"data_disks": (DataDisk(gib=1, mount="/data"),)})
        lab.environment = lab.environment.model_copy(update={"servers": server, "agents": ()})
    return lab


def changed(machines: tuple[Machine, ...]) -> tuple[Machine, ...]:
    """What the flow `change` makes of them: at once, by hotplug, by growing, and after a reboot."""
    first = replace(machines[0], cores=2, description="The first server")
    *others, last = (first, *machines[1:])
    disks = (replace(last.disks[0], gib=7), replace(last.disks[1], gib=2))
    further = Disk(slot="scsi3", storage="vmdata", gib=1, mount="/srv")
    return (*others, replace(last, memory_mib=2048, vlan=7, disks=(*disks, further)))


def wanted(lab: Lab, flow: str) -> tuple[Machine, ...]:
    return changed(lab.machines) if flow == "change" else lab.machines if flow == "create" else ()


def plan(lab: Lab, flow: str) -> Plan:
    """The plan of a flow as things stand, when nothing is going on any more, as the command line makes it."""
    tasks.settle(lab.client(), "pve1")
    if flow == "destroy":
        return destroy("demo", lab.observe(), lab.machines)
    return lab.plan(wanted(lab, flow), reboot=flow == "change")


def run(endpoint: dict[str, Any], state: Path, flow: str, count: int, calls: int) -> None:
    """The target of the process."""
    lab = with_machines(Lab(endpoint, state), count)
    todo = plan(lab, flow)
    lab.apply(todo, lab.client(lambda real: Fatal(real, calls)))
