"""Machine: one VM as it should be. Frozen; everything about it follows from the environment."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "rzp-infra")
# The prefix that Proxmox itself uses for generated addresses (facts: mac_prefix BC:24:11).
_MAC_PREFIX = "BC:24:11"


def identity(environment: str, name: str) -> uuid.UUID:
    """The SMBIOS UUID of a machine: the same on every workstation, for ever."""
    return uuid.uuid5(_NAMESPACE, f"{environment}/{name}")


def own_tags(environment: str) -> frozenset[str]:
    """The tags that every machine of an environment carries (further ones are free)."""
    return frozenset({"rzp", f"rzp-{environment}"})


def seed_name(name: str) -> str:
    """File name of a machine's NoCloud ISO."""
    return f"rzp-{name}.iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk of a machine. `slot` is Proxmox' key; `mount` is set on data disks."""

    slot: str
    storage: str
    gib: int
    mount: str | None = None

    @property
    def device(self) -> str:
        """Its stable name inside the guest (QEMU names SCSI disks after their slot)."""
        return f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A desired VM. Sizes: memory in MiB, disks in GiB."""

    environment: str
    name: str
    role: Literal["server", "agent", "machine"]
    pool: str
    vmid: int
    node: str
    cores: int
    memory_mib: int
    cpu_type: str
    disks: tuple[Disk, ...]
    bridge: str
    vlan: int | None
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    protection: bool
    description: str | None = None

    @property
    def uuid(self) -> uuid.UUID:
        return identity(self.environment, self.name)

    @property
    def mac(self) -> str:
        """Deterministic, so that a re-created machine keeps its neighbours' caches and leases."""
        digest = hashlib.sha256(self.uuid.bytes).hexdigest().upper()
        return ":".join([_MAC_PREFIX, digest[0:2], digest[2:4], digest[4:6]])

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(sorted(own_tags(self.environment) | {self.role}))

    @property
    def seed_iso(self) -> str:
        """File name of its NoCloud ISO."""
        return seed_name(self.name)

    @property
    def address_text(self) -> str:
        """All of them with their prefix lengths, as they stand in the seed."""
        return " ".join(map(str, self.addresses))

    @property
    def address(self) -> str:
        """The address that it is reached at: IPv4."""
        return str(self.addresses[0].ip)
