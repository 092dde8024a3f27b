"""Reading: what Proxmox holds of an environment, with GET calls only.

One for the cluster, per node one for its VMs' power and one for its image storage, one per VM that matters; with
several nodes one to learn whether that storage is shared. More only
while something is under way: a VM in creation shows nothing but its lock, so the task list is asked.
Many VMs are read by several threads (`proxmox.parallel`); what is found stands in the order of the VMIDs all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from bootstrap.config.base import Environment
from bootstrap.errors import ProxmoxError
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine
from bootstrap.proxmox import images, tasks
from bootstrap.proxmox.configuration import parse, tags
from bootstrap.proxmox.session import Client

# PVE's proxy could not connect to the node (facts: HTTP layer).
_NOT_REACHED = 595
# A further thread needs a connection, which takes as long as reading two or three VMs; with fewer than this it gains little.
_WORTH_A_THREAD = 8


def observe(client: Client, environment: Environment, machines: Sequence[Machine]) -> Observed:
    """Everything that the plan needs. A node that is switched off does not keep the others from being read."""
    listed = [
        entry for entry in client.get("/cluster/resources", {"type": "vm"}) if _matters(entry, environment)
    ]
    nodes = _Nodes()
    qemu_nodes = sorted({str(entry["node"]) for entry in listed if entry["type"] == "qemu"})
    running = {vmid for node in qemu_nodes for vmid in nodes.ask(node, partial(_running, client, node)) or ()}
    entries = sorted(listed, key=lambda entry: int(entry["vmid"]))
    found = _each(client, entries, running, nodes, environment.proxmox.parallel)
    every = sorted({m.node for m in machines} | set(qemu_nodes))
    storage = environment.proxmox.image_storage
    content = {node: nodes.ask(node, partial(images.content, client, node, storage)) or [] for node in every}
    held, seeds = _stored(environment, content, [m.seed_iso for m in machines])
    return Observed(
        vms=tuple(live for live, _ in found if live is not None),
        images=held,
        seeds=seeds,
        creating=frozenset(int(e["vmid"]) for e, (_, upid) in zip(entries, found, strict=True) if upid),
        shared=images.shared(client, environment, every, nodes.unreached),
        unreached=frozenset(nodes.unreached),
        away={int(e["vmid"]): str(e["node"]) for e in listed if e["node"] in nodes.unreached},
    )


Answer = TypeVar("Answer")


class _Nodes:
    """Which nodes do not answer; each is asked until it does not for the first time."""

    def __init__(self) -> None:
        self.unreached: set[str] = set()

    def ask(self, node: str, question: Callable[[], Answer]) -> Answer | None:
        if node in self.unreached:
            return None
        try:
            return question()
        except ProxmoxError as error:
            if error.status != _NOT_REACHED:
                raise
            self.unreached.add(node)
            return None


def _each(
    client: Client, entries: Sequence[dict[str, Any]], running: Collection[int], nodes: _Nodes, parallel: int
) -> list[tuple[Live | None, str | None]]:
    """What `machine` says of each entry of the list, in its order."""

    def one(entry: dict[str, Any]) -> tuple[Live | None, str | None]:
        if entry["type"] != "qemu":
            return _container(entry), None
        vmid, node = int(entry["vmid"]), str(entry["node"])
        found = nodes.ask(node, partial(machine, client, node, vmid, running=vmid in running))
        return found or (None, None)

    threads = min(parallel, len(entries) // _WORTH_A_THREAD)
    if threads < 2:
        return [one(entry) for entry in entries]
    pool = ThreadPoolExecutor(threads)
    try:
        return list(pool.map(one, entries))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for answers


def machine(
    client: Client, node: str, vmid: int, *, running: bool | None = None
) -> tuple[Live | None, str | None]:
    """One VM (None: there is none) and the UPID of our task that is creating it. `running` None: it is asked for."""
    for _ in range(2):
        try:
            entries: list[dict[str, Any]] = client.get(f"/nodes/{node}/qemu/{vmid}/pending")
            if running is None:
                running = client.get(f"/nodes/{node}/qemu/{vmid}/status/current")["status"] == "running"
        except ProxmoxError as error:
            if "does not exist" not in str(error):
                raise
            return None, None
        live = parse(vmid, node, entries, running=running)
        if live.lock != "create" or live.name:
            return live, None
        if upid := tasks.running(client, node, vmid).get("qmcreate"):
            return live, upid
        # The task may have ended between the two reads: look once more.
    return live, None


def find(client: Client, vmid: int) -> tuple[Live | None, str | None]:
    """As `machine`, for a VMID on a node that is not known."""
    for entry in client.get("/cluster/resources", {"type": "vm"}):
        if int(entry["vmid"]) == vmid and entry["type"] != "qemu":
            return _container(entry), None
        if int(entry["vmid"]) == vmid:
            return machine(client, str(entry["node"]), vmid)
    return None, None


def _container(entry: dict[str, Any]) -> Live:
    name = str(entry.get("name", ""))
    return Live(vmid=int(entry["vmid"]), node=str(entry["node"]), kind="lxc", name=name, tags=tags(entry))


def _matters(entry: dict[str, Any], environment: Environment) -> bool:
    first, last = environment.vmids
    return first <= int(entry["vmid"]) <= last or f"rzp-{environment.name}" in tags(entry)


def _running(client: Client, node: str) -> set[int]:
    """From the node itself: the cluster's list is up to ten seconds old."""
    return {int(entry["vmid"]) for entry in client.get(f"/nodes/{node}/qemu") if entry["status"] == "running"}


def _stored(
    environment: Environment, content: Mapping[str, Sequence[dict[str, Any]]], wanted: Sequence[str]
) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Nodes that hold the image, and the seed ISOs of this environment; `content`: of the image storage on each node."""
    pools = "|".join(re.escape(pool.name) for pool in environment.pools)
    # Not every rzp-NAME-*: an environment NAME-2 has seeds of its own.
    numbered = re.compile(rf"^rzp-{re.escape(environment.name)}-({pools})-\d+\.iso$")
    held: set[str] = set()
    seeds: set[tuple[str, str]] = set()
    for node, entries in content.items():
        for entry in entries:
            volid = str(entry["volid"])
            name = volid.rsplit("/", 1)[-1]
            if volid == images.volume(environment):
                held.add(node)
            elif entry.get("content") == "iso" and (name in wanted or numbered.match(name)):
                seeds.add((node, volid))
    return frozenset(held), frozenset(seeds)
