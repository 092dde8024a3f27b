"""Virtual machines: made, resized, started, ejected, deleted. Each call is one step; what is needed is judged in apply."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

from bootstrap.config.base import Environment
from bootstrap.errors import ProxmoxError, TaskFailed, WaitTimeout
from bootstrap.live import SEED_SLOT, Live
from bootstrap.machine import Disk, Machine
from bootstrap.proxmox import images, tasks
from bootstrap.proxmox.session import Client
from bootstrap.proxmox.tasks import Waiting

CREATE_LIMIT = 900.0
_TASK_LIMIT = 120.0
# A guest has this long to shut down before it is switched off. systemd itself waits 90 s for containers (facts: test bed).
SHUTDOWN_LIMIT = 120
_SYSTEM_SLOT = "scsi0"
_OPTIONS = "discard=on,iothread=1,ssd=1"


def settings(machine: Machine) -> dict[str, Any]:
    """PVE's keys of the managed fields beside disks and the network card; the names are those of bootstrap/fields.py."""
    return {
        "tags": ";".join(machine.tags),
        **({} if machine.description is None else {"description": machine.description}),
        "machine": "q35",
        "cpu": machine.cpu_type,
        "cores": machine.cores,
        "sockets": 1,
        "memory": machine.memory_mib,
        "balloon": 0,
        "ostype": "l26",
        "scsihw": "virtio-scsi-single",
        "serial0": "socket",
        "agent": "enabled=1",
        "onboot": True,
        "protection": machine.protection,
    }


def parameters(machine: Machine, environment: Environment) -> dict[str, Any]:
    """What `create` is called with. No `startup`: that would need Sys.Modify on /."""
    return {
        "vmid": machine.vmid,
        "name": machine.name,
        "smbios1": f"uuid={machine.uuid},sku={_encoded(machine.address_text)},base64=1",
        **settings(machine),
        "vga": "serial0",
        "net0": _card(machine, f"virtio={machine.mac}"),
        **{disk.slot: _disk(disk, images.volume(environment)) for disk in machine.disks},
        SEED_SLOT: f"{seed_volume(machine, environment)},media=cdrom",
        "boot": f"order={_SYSTEM_SLOT};{SEED_SLOT}",  # a medium in a drive that is not named would be added, pending
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _card(machine: Machine, before: str) -> str:
    """The network card on the machine's bridge and VLAN; everything else in `before` stays, above all its MAC."""
    options = dict(part.partition("=")[::2] for part in before.split(",") if part)
    options |= {"bridge": machine.bridge}
    options.pop("tag", None)
    if machine.vlan:
        options["tag"] = str(machine.vlan)
    return ",".join(f"{name}={value}" for name, value in options.items())


def _disk(disk: Disk, image: str) -> str:
    source = f"0,import-from={image}" if disk.slot == _SYSTEM_SLOT else str(disk.gib)
    return f"{disk.storage}:{source},{_OPTIONS}"


def seed_volume(machine: Machine, environment: Environment) -> str:
    return f"{environment.proxmox.image_storage}:iso/{machine.seed_iso}"


def create(client: Client, machine: Machine, environment: Environment, waiting: Waiting) -> None:
    """Claims the VMID: of several at once, one succeeds."""
    upid = client.post(f"/nodes/{machine.node}/qemu", parameters(machine, environment))
    tasks.wait(client, upid, limit=CREATE_LIMIT, waiting=waiting)


def change(client: Client, machine: Machine, live: Live, fields: Collection[str]) -> None:
    """Set managed fields, all in one call. What the running VM cannot take stays pending in Proxmox."""
    wanted = settings(machine) | {"tags": ";".join(sorted(live.tags | {*machine.tags}))}
    asked = {name: value for name, value in wanted.items() if name in fields}
    if any(name.startswith("net0 ") for name in fields):
        asked["net0"] = _card(machine, live.net0 or f"virtio={machine.mac}")
    client.put(f"{_path(live)}/config", {**asked, "digest": live.digest})


def add_disk(client: Client, live: Live, disk: Disk, waiting: Waiting) -> None:
    """An empty disk in a free slot; a slot that is taken would lose what is in it, so its caller has looked."""
    asked = {disk.slot: _disk(disk, ""), "digest": live.digest}
    upid = client.post(f"{_path(live)}/config", asked)
    tasks.wait(client, upid, limit=_TASK_LIMIT, waiting=waiting)


def grow(client: Client, live: Live, disk: Disk) -> None:
    """Bring a disk to its size; it is never made smaller."""
    asked = {"disk": disk.slot, "size": f"{disk.gib}G", "digest": live.digest}
    tasks.wait(client, client.put(f"{_path(live)}/resize", asked), limit=_TASK_LIMIT)


def start(client: Client, live: Live, waiting: Waiting) -> None:
    """Started by somebody else in the meantime is as good."""
    try:
        tasks.wait(client, client.post(f"{_path(live)}/status/start"), limit=_TASK_LIMIT, waiting=waiting)
    except TaskFailed as error:
        if "already running" not in str(error):
            raise


def switch_off(client: Client, live: Live, waiting: Waiting, *, patience: int = SHUTDOWN_LIMIT) -> None:
    """Shut down; after `patience` seconds the plug is pulled."""
    try:
        upid = client.post(f"{_path(live)}/status/shutdown", {"timeout": patience})
        tasks.wait(client, upid, limit=patience + 30, waiting=waiting)
    except (TaskFailed, WaitTimeout):
        waiting("the guest did not shut down, so it is switched off")
        tasks.wait(client, client.post(f"{_path(live)}/status/stop"), limit=_TASK_LIMIT)


def eject(client: Client, live: Live) -> None:
    """Take the seed out and leave the drive: unplugging is refused while `boot` names it."""
    asked = {SEED_SLOT: "none,media=cdrom", "digest": live.digest}
    tasks.wait(client, client.post(f"{_path(live)}/config", asked), limit=_TASK_LIMIT)


def delete(client: Client, live: Live, waiting: Waiting) -> None:
    """Delete with the disks that it holds, and make sure that it is gone. Volumes that it does not hold are not looked for."""
    upid = client.delete(_path(live), {"purge": True, "destroy-unreferenced-disks": False})
    tasks.wait(client, upid, limit=_TASK_LIMIT, waiting=waiting)
    if any(entry.get("vmid") == live.vmid for entry in client.get("/cluster/resources", {"type": "vm"})):
        raise ProxmoxError(
            f"{live.name} (VMID {live.vmid}): Proxmox says that it is deleted, and still lists it; run the command again"
        )


def _path(live: Live) -> str:
    return f"/nodes/{live.node}/qemu/{live.vmid}"
