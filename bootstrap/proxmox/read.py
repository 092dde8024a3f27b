"""Reading: what Proxmox holds of an environment, with GET calls only.

One for the cluster, per node one for its VMs' power and one for its image storage, one per VM that matters; with
several nodes one to learn whether that storage is shared. More only
while something is under way: a VM in creation shows nothing but its lock, so the task list is asked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from bootstrap.config.base import Environment
from bootstrap.errors import ProxmoxError
from bootstrap.live import SEED_SLOT, Live, Observed
from bootstrap.machine import Machine
from bootstrap.proxmox import images, tasks
from bootstrap.proxmox.session import Client

_MAC = re.compile(r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")
_DISK_SLOT = re.compile(r"^(scsi|virtio|sata|ide|unused)\d+$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)([KMGT]?)$")
_GIB = {"": 2**-30, "K": 2**-20, "M": 2**-10, "G": 1.0, "T": 2.0**10}
# PVE's proxy could not connect to the node (facts: HTTP layer).
_NOT_REACHED = 595
_SEPARATORS = re.compile(r"[,; ]+")


def observe(client: Client, environment: Environment, machines: Sequence[Machine]) -> Observed:
    """Everything that the plan needs. A node that is switched off does not keep the others from being read."""
    listed = [
        entry for entry in client.get("/cluster/resources", {"type": "vm"}) if _matters(entry, environment)
    ]
    nodes = _Nodes()
    qemu_nodes = sorted({str(entry["node"]) for entry in listed if entry["type"] == "qemu"})
    running = {vmid for node in qemu_nodes for vmid in nodes.ask(node, partial(_running, client, node)) or ()}
    vms: list[Live] = []
    creating: set[int] = set()
    for entry in sorted(listed, key=lambda entry: int(entry["vmid"])):
        vmid, node = int(entry["vmid"]), str(entry["node"])
        if entry["type"] != "qemu":
            vms.append(_container(entry))
            continue
        found = nodes.ask(node, partial(machine, client, node, vmid, running=vmid in running))
        live, upid = found or (None, None)
        if live is not None:
            vms.append(live)
        if upid is not None:
            creating.add(vmid)
    every = sorted({m.node for m in machines} | set(qemu_nodes))
    storage = environment.proxmox.image_storage
    content = {node: nodes.ask(node, partial(images.content, client, node, storage)) or [] for node in every}
    held, seeds = _stored(environment, content, [m.seed_iso for m in machines])
    return Observed(
        vms=tuple(vms),
        images=held,
        seeds=seeds,
        creating=frozenset(creating),
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
    return Live(vmid=int(entry["vmid"]), node=str(entry["node"]), kind="lxc", name=name, tags=_tags(entry))


def parse(vmid: int, node: str, entries: Sequence[dict[str, Any]], *, running: bool) -> Live:
    """A VM's configuration as PVE's list of values and pending ones shows it: what it will be, and what it runs with."""
    config = {
        str(entry["key"]): entry.get("pending", entry.get("value"))
        for entry in entries
        if not entry.get("delete")
    }
    now = {str(entry["key"]): entry["value"] for entry in entries if "value" in entry}
    current, fields = _fields(now), _fields(config)
    # A disk that is to be taken off at the next start is still there, and would die with the VM.
    drives = {slot: _options(str(value)) for slot, value in (now | config).items() if _DISK_SLOT.match(slot)}
    seed = drives.get(SEED_SLOT, {})
    volume = seed.get("file") if seed.get("media") == "cdrom" else None
    disks = {slot: options for slot, options in sorted(drives.items()) if options.get("media") != "cdrom"}
    sizes = {slot: gib(o["size"]) for slot, o in disks.items() if "size" in o and slot[:6] != "unused"}
    return Live(
        vmid=vmid,
        node=node,
        name=str(config.get("name", "")),
        uuid=_options(str(config.get("smbios1", ""))).get("uuid", "").lower(),
        tags=_tags(config),
        running=running,
        lock=config.get("lock"),
        digest=str(config.get("digest", "")),
        seed=None if volume in (None, "none") else volume,
        disks=sizes,
        volumes={slot: options["file"] for slot, options in disks.items() if "file" in options},
        taken={slot: options.get("file", "a drive") for slot, options in drives.items() if slot not in sizes},
        fields=fields,
        running_fields={name: value for name, value in current.items() if value != fields[name]},
        leaving=frozenset(slot for slot in drives if slot not in config),
        net0=str((now | config).get("net0", "")),
    )


def gib(size: str) -> float:
    """`20G`, `368K` → GiB."""
    match = _SIZE.match(size)
    return float(match[1]) * _GIB[match[2]] if match else 0.0


def _fields(config: dict[str, Any]) -> dict[str, Any]:
    """The names of fields.managed_fields, as plain values; None where Proxmox has nothing."""
    net = _options(str(config.get("net0", "")))
    memory = _options(str(config.get("memory", "")), "current").get("current")
    agent = _options(str(config.get("agent", "0")), "enabled").get("enabled")
    tag = net.get("tag")
    chipset = _options(str(config.get("machine", "")), "type").get("type")
    return {
        "cores": config.get("cores"),
        "sockets": config.get("sockets"),
        "description": str(config["description"]).rstrip() if config.get("description") else None,
        "memory": int(memory) if memory else None,
        "cpu": _options(str(config.get("cpu", "")), "cputype").get("cputype") or None,
        # A version that an operator pinned, or further options, are theirs: it is the same chipset.
        "machine": re.sub(r"^pc-(q35)-.*", r"\1", chipset) if chipset else None,
        "scsihw": config.get("scsihw"),
        "balloon": config.get("balloon"),
        "ostype": config.get("ostype"),
        "agent": agent == "1",
        "onboot": bool(config.get("onboot")),
        "protection": bool(config.get("protection")),
        "serial0": config.get("serial0"),
        "net0 mac": next((value.upper() for value in net.values() if _MAC.match(value)), None),
        "net0 bridge": net.get("bridge"),
        "net0 tag": int(tag) if tag else None,
        "addresses": _remembered(_options(str(config.get("smbios1", "")))),
    }


def _remembered(smbios: dict[str, str]) -> str | None:
    """The addresses that the VM was made with."""
    try:
        return (
            base64.b64decode(smbios["sku"], validate=True).decode() if smbios.get("base64") == "1" else None
        )
    except (KeyError, ValueError):
        return None


def _options(text: str, first: str = "file") -> dict[str, str]:
    """`local:iso/x.iso,media=cdrom` → {file: local:iso/x.iso, media: cdrom}; `first` names a value without a key."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {key if equals else first: value if equals else key for key, equals, value in pairs}


def _tags(entry: dict[str, Any]) -> frozenset[str]:
    """Proxmox VE 8.4 keeps them as they were sent."""
    return frozenset(filter(None, _SEPARATORS.split(str(entry.get("tags", "")).lower())))


def _matters(entry: dict[str, Any], environment: Environment) -> bool:
    first, last = environment.vmids
    return first <= int(entry["vmid"]) <= last or f"rzp-{environment.name}" in _tags(entry)


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
