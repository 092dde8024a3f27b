"""What a node does when it comes up: it starts the machines that say so (`onboot`), one task for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootstrap.lab.pve import power
from bootstrap.lab.pve.access import ROOT, Identity
from bootstrap.lab.pve.fault import Fault

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.tasks import Task


def start_on_boot(lab: Lab) -> None:
    for node in lab.nodes:
        mine = sorted(
            vm.vmid for vm in lab.machines.all.values() if vm.node == node and vm.config.get("onboot") == "1"
        )
        if mine:
            _start(lab, node, mine)


def _start(lab: Lab, node: str, vmids: list[int]) -> None:
    async def work(task: Task) -> None:
        for vmid in vmids:
            task.log(f"Starting VM {vmid}")
            try:
                await power.start_machine(lab, node, vmid, task)
            except Fault as fault:
                task.log(f"Starting VM {vmid} failed: {fault.text}")

    lab.tasks.start(node, "startall", "", Identity(user=ROOT), work)
