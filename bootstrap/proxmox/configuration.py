"""A VM's configuration as Proxmox writes it, understood: disks, volumes, tags, and the managed fields as plain values."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from bootstrap.live import SEED_SLOT, Live

_MAC = re.compile(r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$")
_DISK_SLOT = re.compile(r"^(scsi|virtio|sata|ide|unused)\d+$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)([KMGT]?)$")
_GIB = {"": 2**-30, "K": 2**-20, "M": 2**-10, "G": 1.0, "T": 2.0**10}
_SEPARATORS = re.compile(r"[,; ]+")


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
        tags=tags(config),
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


def tags(entry: dict[str, Any]) -> frozenset[str]:
    """Proxmox VE 8.4 keeps them as they were sent."""
    return frozenset(filter(None, _SEPARATORS.split(str(entry.get("tags", "")).lower())))
