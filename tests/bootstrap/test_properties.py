"""Properties over random valid environments and random live states: apply leaves nothing to do, and foreign VMs are never touched.

A case is its seed: `RZP_SEED=N pytest tests/bootstrap/test_properties.py` runs that one alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bootstrap.change import Differs
from bootstrap.cluster import K3sCluster
from bootstrap.config import demo
from bootstrap.config.base import Environment
from bootstrap.config.pool import DataDisk, Pool, Vm
from bootstrap.errors import ImpossiblePlan
from bootstrap.machine import Machine
from bootstrap.plan import Plan, destroy
from bootstrap.proxmox import images, tasks
from tests.bootstrap.conftest import Lab, running_lab

NODES = ("pve1", "pve2")
CASES, ALL_CASES, CHUNK = 200, 5000, 25
ONE = os.environ.get("RZP_SEED")
SEEDS = [int(ONE)] if ONE else list(range(ALL_CASES if os.environ.get("RZP_ALL") else CASES))


@pytest.fixture(scope="module")
def two_node_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("properties") / "lab"
    with running_lab(state, nodes=list(NODES), pace=0.001) as running:
        yield running


def _disks(dice: random.Random, prefix: str) -> tuple[DataDisk, ...]:
    return tuple(
        DataDisk(gib=dice.randint(1, 3), mount=f"/{prefix}{n}") for n in range(dice.choice((0, 0, 1, 2)))
    )


def _environment(lab: Lab, dice: random.Random) -> Environment:
    """A valid environment with one to six machines."""
    built = demo.build(lab.endpoint)
    servers = built.servers.model_copy(
        update={
            "count": dice.choice((1, 1, 3)),
            "cores": dice.randint(1, 4),
            "os_disk_gib": dice.randint(4, 8),
        }
    )
    agents = []
    for number, name in enumerate(dice.sample(["agent", "big", "gpu"], dice.randint(0, 2))):
        count = dice.randint(0, 2)
        agents.append(
            Pool(
                name=name,
                count=count,
                without=tuple(n for n in range(1, count) if dice.random() < 0.3),
                first_vmid=926 + 4 * number,
                first_host=30 + 4 * number,
                cores=dice.randint(1, 4),
                memory_mib=dice.choice((512, 1024, 2048)),
                os_disk_gib=dice.randint(4, 8),
                data_disks=_disks(dice, name),
                nodes=dice.choice(((), NODES[:1], NODES[1:])),
                description=dice.choice((None, "a pool")),
            )
        )
    vms = (
        Vm(
            name="nas",
            vmid=939,
            host=60,
            cores=1,
            memory_mib=512,
            os_disk_gib=5,
            data_disks=_disks(dice, "nas"),
        ),
    )
    values = built.model_dump() | {
        "proxmox": built.proxmox.model_copy(update={"nodes": NODES}).model_dump(),
        "servers": servers.model_dump(),
        "agents": [pool.model_dump() for pool in agents],
        "machines": [vm.model_dump() for vm in vms if dice.random() < 0.3],
        "network": built.network.model_copy(update={"vlan": dice.choice((None, None, 7))}).model_dump(),
    }
    return Environment.model_validate(values)


@dataclass
class Mess:
    """What a seed makes of the lab before the run under test."""

    lab: Lab
    dice: random.Random

    def make(self, before: tuple[Machine, ...]) -> list[int]:
        """Machines in random states; the VMIDs of foreign VMs."""
        made = tuple(m for m in before if self.dice.random() < 0.7)
        finished = self.dice.random() < 0.8
        self.lab.apply(self.lab.plan(made), wait_for_hosts=finished)
        for machine in made:
            if self.dice.random() < 0.5:
                self._disturb(machine)
        if self.dice.random() < 0.3:
            images.upload_seed(
                self.lab.root(), self.dice.choice(NODES), "local", "rzp-demo-server-9.iso", b"x" * 4096
            )
        free = [vmid for vmid in (921, 930, 938, 500) if vmid not in {m.vmid for m in made}]
        return [self._foreign(vmid) for vmid in free if self.dice.random() < 0.25]

    def _disturb(self, machine: Machine) -> None:
        root, path = self.lab.root(), f"/nodes/{machine.node}/qemu/{machine.vmid}"
        card = f"virtio={machine.mac},bridge=vmbr0"
        acts: list[tuple[str, dict[str, Any]]] = [
            ("config", {"cores": self.dice.randint(1, 6)}),
            ("config", {"memory": self.dice.choice((512, 4096))}),
            ("config", {"onboot": 0, "agent": "enabled=0"}),
            ("config", {"tags": f"backup;rzp;rzp-{machine.environment}"}),
            ("config", {"net0": f"{card},firewall=1,tag={self.dice.randint(2, 9)}"}),
            ("config", {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}),
            ("config", {"description": "by hand"}),
            ("config", {"scsi9": "vmdata:1"}),
            ("config", {"machine": "pc"}),
            ("status/stop", {}),
        ]
        for place, values in self.dice.sample(acts, self.dice.randint(1, 3)):
            tasks.wait(root, root.post(f"{path}/{place}", values), limit=10)
        if self.dice.random() < 0.2:
            tasks.wait(root, root.put(f"{path}/resize", {"disk": "scsi0", "size": "9G"}), limit=10)

    def _foreign(self, vmid: int) -> int:
        root = self.lab.root()
        tags = self.dice.choice(("", "rzp", "nas;rzp-demo"))
        asked = {
            "vmid": vmid,
            "name": f"other-{vmid}",
            "memory": 64,
            "tags": tags or None,
            "scsi0": "vmdata:1",
        }
        tasks.wait(root, root.post(f"/nodes/{self.dice.choice(NODES)}/qemu", asked), limit=10)
        return vmid


def _configs(lab: Lab, vmids: list[int]) -> dict[int, Any]:
    root = lab.root()
    return {
        int(entry["vmid"]): root.get(f"/nodes/{entry['node']}/qemu/{entry['vmid']}/config")
        for entry in root.get("/cluster/resources", {"type": "vm"})
        if int(entry["vmid"]) in vmids
    }


def _left(plan: Plan) -> list[str]:
    return [str(change) for change in plan.changes if not isinstance(change, Differs)]


def _faults(lab: Lab, seed: int) -> list[str]:
    dice = random.Random(seed)
    lab.empty()
    lab.environment = _environment(lab, dice)
    before = lab.machines
    if dice.random() < 0.5:
        lab.environment = _environment(lab, dice)
    foreign = Mess(lab, dice).make(before)
    untouched, everything = _configs(lab, foreign), _configs(lab, list(range(100, 1000)))
    plan = lab.plan(reboot=True)
    if plan.conflicts:
        with pytest.raises(ImpossiblePlan):
            lab.apply(plan)
        return (
            []
            if _configs(lab, list(range(100, 1000))) == everything
            else ["a conflict, and something was changed"]
        )
    found = [f"failed: {error}" for error in lab.apply(plan).failures.values()]
    second = lab.plan(reboot=True)
    found += [f"left to do: {text}" for text in _left(second)]
    gone = destroy("demo", lab.observe(), K3sCluster(lab.environment).machines)
    if not gone.conflicts:
        found += [f"destroy failed: {error}" for error in lab.apply(gone).failures.values()]
        found += [f"not destroyed: {text}" for text in _left(destroy("demo", lab.observe()))]
    if _configs(lab, foreign) != untouched:
        found.append(f"a foreign VM was touched: {untouched} → {_configs(lab, foreign)}")
    return found


@pytest.mark.parametrize("first", range(0, len(SEEDS), CHUNK))
def test_apply_leaves_nothing_to_do_and_foreign_vms_alone(two_node_lab: Lab, first: int) -> None:
    wrong = {}
    for seed in SEEDS[first : first + CHUNK]:
        if found := _faults(two_node_lab, seed):
            wrong[f"RZP_SEED={seed}"] = found

    assert wrong == {}
