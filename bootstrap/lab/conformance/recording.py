"""A recording's surroundings, imitated: the files that its steps use, and the node before its seed."""

from __future__ import annotations

from typing import Any

from bootstrap.lab.pve.images import blank

_SIZES = {"debian-13-genericcloud-amd64.qcow2": 3 << 30, "debian-13.img": 3 << 30}


def substitute(name: str, size: int) -> bytes:
    """A file that can stand for the recorded one."""
    if name.startswith("backed"):
        return blank(2 << 30, length=size, backing=b"/etc/passwd")
    if name.endswith(("raw", ".iso")) and not name.startswith("deb."):
        return bytes(size)
    return bytes(size) if name.endswith(".raw") else blank(_SIZES.get(name, 2 << 30), length=size)


def served_files(recording: dict[str, Any]) -> dict[str, bytes]:
    """What the recording's file server has to serve."""
    return {
        name: substitute(name, file["size"])
        for name, file in recording["start"]["http_server"]["files"].items()
    }


def start_plan(recording: dict[str, Any]) -> dict[str, Any]:
    """The plan of a lab that looks like the recording's node before the seed."""
    start = recording["start"]
    bridge, node = start["bridges"][0], start["nodes"][0]
    network = ".".join(bridge["address"].split(".")[:3]) + f".0/{bridge['netmask']}"
    return {
        "environment": "recording",
        "pve": start["version"]["release"],
        "nodes": [node["node"]],
        "storages": [
            {key: one[key] for key in ("storage", "type", "content", "path")} for one in start["storages"]
        ],
        "bridge": bridge["iface"],
        "ipv4": {"network": network, "gateway": bridge["gateway"]},
        "node_address": bridge["address"],
        "cpus": node.get("maxcpu", 2),
        "deaf_guests": True,  # nothing was installed on the recorded machines
        "first_statistics": 3600 if node["status"] == "unknown" else 0,
    }
