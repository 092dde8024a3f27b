"""The demo: the embedded lab. Its values come from the lab's endpoint file; without one they are unknown (`None`)."""

from __future__ import annotations

import hashlib
import json
import os
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from bootstrap.config.access import Access
from bootstrap.config.base import Environment
from bootstrap.config.ingress import Ingress
from bootstrap.config.network import Network, Subnet4, Subnet6
from bootstrap.config.pool import DataDisk, Pool, ServerPool
from bootstrap.config.proxmox import Proxmox
from bootstrap.config.software import GitOps, Image, K3s, Pin


def lab_folder() -> Path:
    """Where the lab keeps its state: RZP_LAB_DIR, else a folder for this checkout in the user's state folder."""
    if named := os.environ.get("RZP_LAB_DIR"):
        return Path(named).expanduser()
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    checkout = hashlib.sha256(str(Path(__file__).resolve().parents[2]).encode()).hexdigest()
    return state / "rzp-infra" / f"lab-{checkout[:8]}"


def _endpoint() -> dict[str, Any]:
    try:
        return dict(json.loads((lab_folder() / "endpoint.json").read_text()))
    except (OSError, ValueError):
        return {}


def _pin(values: dict[str, str] | None) -> Pin:
    known = values or {}
    return Pin(version=known.get("version"), url=known.get("url"), sha256=known.get("sha256"))


def build(endpoint: dict[str, Any]) -> Environment:
    """The demo environment for what a lab says of itself ({} while none runs)."""
    image = endpoint.get("image") or {}
    repository = endpoint.get("repository") or {}
    return Environment(
        name="demo",
        source="lab",
        proxmox=Proxmox(
            endpoints=(endpoint.get("url") or "https://127.0.0.1:8006",),
            nodes=("pve1",),
            fingerprint=endpoint.get("fingerprint"),
            disk_storage="vmdata",
        ),
        network=Network(
            ipv4=Subnet4(network=IPv4Network("10.77.0.0/24"), gateway=IPv4Address("10.77.0.1")),
            ipv6=Subnet6(network=IPv6Network("fd77::/64"), gateway=IPv6Address("fd77::1")),
            dns=(IPv4Address("10.77.0.1"),),
            search_domain="demo.internal",
        ),
        access=Access(key_file="inventories/demo_ed25519"),
        image=Image(
            filename=image.get("filename") or "debian-13-standin.qcow2",
            url=image.get("url"),
            checksum=image.get("checksum"),
        ),
        vmids=(920, 939),
        servers=ServerPool(count=1, first_vmid=920, first_host=20, cores=1, memory_mib=1024, os_disk_gib=6),
        agents=(
            Pool(
                name="agent",
                count=2,
                first_vmid=930,
                first_host=30,
                cores=1,
                memory_mib=1024,
                os_disk_gib=6,
                data_disks=(DataDisk(gib=1, mount="/var/lib/longhorn"),),
                labels={"rzp.io/storage": "longhorn"},
            ),
        ),
        k3s=K3s(
            pin=_pin(endpoint.get("k3s")),
            cluster_cidr=(IPv4Network("10.42.0.0/16"), IPv6Network("fd42:920::/56")),
            service_cidr=(IPv4Network("10.43.0.0/16"), IPv6Network("fd43:920::/112")),
        ),
        ingress=Ingress(domain="demo.internal", pool=(200, 219)),
        gitops=GitOps(
            repository=repository.get("url") or "http://10.77.0.1/rzp-infra.git",
            revision=repository.get("revision") or "main",
            argocd=_pin(endpoint.get("argocd")),
        ),
    )


environment = build(_endpoint())
