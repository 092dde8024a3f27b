"""The shape of an environment: frozen, unknown keys refused, every fault one line with the fix.

Sizes are in GiB, memory in MiB. Networks are given once; a machine's address is its network plus a host number.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Generic, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from bootstrap.errors import InvalidEnvironment

_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_FINGERPRINT = re.compile(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")
_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")
_TAINT = re.compile(r"^[\w./-]+(=[\w.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$")


def _hostname(value: str) -> str:
    if not _LABEL.match(value):
        raise ValueError("is no hostname; use lower-case letters, digits and dashes, at most 63")
    return value


def _fingerprint(value: str) -> str:
    if not _FINGERPRINT.match(value.upper()):
        raise ValueError(
            "is no SHA-256 fingerprint; use 32 pairs AB:CD:… (Proxmox: Node, System, Certificates)"
        )
    return value.upper()


Net = TypeVar("Net", IPv4Network, IPv6Network)
Address = TypeVar("Address", IPv4Address, IPv6Address)
Hostname = Annotated[str, AfterValidator(_hostname)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class Model(BaseModel):
    """Frozen, and an unknown key is an error. Space around a text is no part of it; Proxmox cuts it off, too."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Subnet(Model, Generic[Net, Address]):
    """A network of the machines, given once."""

    network: Net
    gateway: Address

    @model_validator(mode="after")
    def _gateway_inside(self) -> Self:
        if self.gateway not in self.network:
            raise ValueError(
                f"gateway {self.gateway} is not inside {self.network}; correct the one or the other"
            )
        return self


Subnet4 = Subnet[IPv4Network, IPv4Address]
Subnet6 = Subnet[IPv6Network, IPv6Address]


class Network(Model):
    """Bridge, static addresses and name servers of every machine."""

    bridge: str = "vmbr0"
    vlan: int | None = Field(default=None, ge=1, le=4094)
    ipv4: Subnet4
    ipv6: Subnet6 | None = None
    dns: tuple[IPv4Address | IPv6Address, ...]
    search_domain: str | None = None

    @field_validator("dns")
    @classmethod
    def _some_dns(cls, value: tuple[IPv4Address | IPv6Address, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
        if not value:
            raise ValueError("static addresses need at least one DNS server; add it")
        if len(value) > 3:
            raise ValueError("more than three DNS servers are cut by the resolver; name at most three")
        return value


class Proxmox(Model):
    """Where the API is and who we are there. The secret is `proxmox.token` (or `proxmox.password`)."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    nodes: tuple[Hostname, ...] = Field(min_length=1)
    user: str = Field(default="rzp@pve", pattern=r"^[^@!\s]+@[a-z]+$")
    token_name: str | None = Field(default="infra", pattern=r"^[A-Za-z][\w.-]+$")
    fingerprint: Fingerprint | None = None
    ca_file: Path | None = None
    image_storage: str = "local"
    disk_storage: str = "local-lvm"
    parallel: int = Field(default=3, ge=1, le=16)

    @field_validator("endpoints")
    @classmethod
    def _https(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.match(r"^https://[^/\s]+(:\d+)?$", url):
                raise ValueError(f"{url} is no endpoint; write https://ADDRESS:8006 without a path")
        return value

    @model_validator(mode="after")
    def _one_trust(self) -> Self:
        if self.fingerprint and self.ca_file:
            raise ValueError("fingerprint and ca_file are both set; keep one of them")
        if self.fingerprint and len(self.endpoints) > 1:
            raise ValueError(
                "a fingerprint is one node's, and there are several endpoints; use ca_file (pve-root-ca.pem)"
            )
        return self


class DataDisk(Model):
    """A further disk, formatted when empty and mounted by the deploy."""

    gib: int = Field(ge=1)
    mount: str = Field(pattern=r"^(/\w[\w.-]*)+$")


class Shape(Model):
    """What a machine is made of."""

    cores: int = Field(ge=1, le=128)
    memory_mib: int = Field(ge=512)
    os_disk_gib: int = Field(default=20, ge=4)
    description: str | None = Field(default=None, min_length=1, max_length=8192)
    data_disks: tuple[DataDisk, ...] = Field(default=(), max_length=29)  # scsi2 to scsi30

    @field_validator("data_disks")
    @classmethod
    def _own_mounts(cls, value: tuple[DataDisk, ...]) -> tuple[DataDisk, ...]:
        mounts = [disk.mount for disk in value]
        if twice := sorted({mount for mount in mounts if mounts.count(mount) > 1}):
            raise ValueError(f"{twice[0]} is the mount of two disks; give each its own")
        return value


class Pool(Shape):
    """Machines alike, numbered from 1 to `count`: NAME-1 has VMID `first_vmid` and host number `first_host`.

    `without`: numbers that are left out, so that a machine in the middle can go while the others keep what they have.
    """

    name: Hostname
    count: int = Field(ge=0, le=100)
    without: tuple[int, ...] = ()
    first_vmid: int = Field(ge=100, le=999_999_999)
    first_host: int = Field(ge=1)
    labels: dict[str, str] = Field(default_factory=dict)
    taints: tuple[str, ...] = ()
    nodes: tuple[Hostname, ...] = ()

    @property
    def indexes(self) -> tuple[int, ...]:
        """Of the machines that there are, counted from 0: NAME-N has index N - 1."""
        return tuple(index for index in range(self.count) if index + 1 not in self.without)

    @model_validator(mode="after")
    def _left_out(self) -> Self:
        if unknown := sorted({*self.without} - {*range(1, self.count + 1)}):
            raise ValueError(
                f"{self.name}.without names {unknown[0]}, and there are 1 to {self.count}; correct it"
            )
        return self

    @field_validator("taints")
    @classmethod
    def _taint(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for taint in value:
            if not _TAINT.match(taint):
                raise ValueError(
                    f"{taint!r} is no taint; write key=value:NoSchedule (or PreferNoSchedule, NoExecute)"
                )
        return value

    @field_validator("labels")
    @classmethod
    def _label(cls, value: dict[str, str]) -> dict[str, str]:
        for key, text in value.items():
            if "kubernetes.io/" in key or "k8s.io/" in key:
                raise ValueError(
                    f"label {key!r} is reserved and would stop the kubelet; use a prefix of your own"
                )
            if not (_LABEL_KEY.match(key) and _LABEL_VALUE.match(text)):
                raise ValueError(
                    f"{key!r}: {text!r} is no label; use letters, digits, - _ . (at most 63), prefix/name as key"
                )
        return value


class ServerPool(Pool):
    """The K3s servers: an odd number, because an even one loses quorum with the same number of failures."""

    name: Hostname = "server"

    @model_validator(mode="after")
    def _odd(self) -> Self:
        number = len(self.indexes)
        if number % 2 == 0:
            raise ValueError(
                f"{number} servers: an even number (or none) gains no quorum; use {number + 1} or {max(1, number - 1)}"
            )
        return self


class Vm(Shape):
    """A machine outside the cluster."""

    name: Hostname
    vmid: int = Field(ge=100, le=999_999_999)
    host: int = Field(ge=1)
    node: Hostname | None = None


class Access(Model):
    """Who may log in. `key_file` is the private key for pyinfra; without it the SSH agent and ~/.ssh/config serve."""

    user: Hostname = "rzp"
    ssh_keys: tuple[str, ...] = ()
    key_file: str | None = None

    def public_keys(self, project: Path) -> tuple[str, ...]:
        """The keys that may log in: `ssh_keys`, and the public half beside `key_file` (relative to the project)."""
        if self.key_file is None:
            return self.ssh_keys
        public = project / Path(f"{self.key_file}.pub").expanduser()
        if not public.exists():
            raise InvalidEnvironment(
                [f"access.key_file: {public} does not exist; make it with ssh-keygen -t ed25519"]
            )
        return (*self.ssh_keys, public.read_text().strip())

    @field_validator("ssh_keys")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if not re.match(r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]{40,}( .*)?$", key):
                raise ValueError(
                    f"{key[:30]!r} is no public SSH key; paste the line of ~/.ssh/id_ed25519.pub"
                )
        return value
