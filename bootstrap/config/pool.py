"""The machines: pools of nodes that are alike, and machines outside the cluster."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from bootstrap.config.model import Hostname, Model

_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")
_TAINT = re.compile(r"^[\w./-]+(=[\w.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$")


class DataDisk(Model):
    """A further disk, formatted when empty and mounted by the deploy."""

    gib: int = Field(ge=1)
    """Size in GiB. Larger: in place, at once; the next deploy grows the file system. Never smaller."""
    mount: str = Field(pattern=r"^(/\w[\w.-]*)+$")
    """Where the deploy mounts it; ext4. Every disk of a machine has a place of its own."""


class Shape(Model):
    """What a machine is made of."""

    cores: int = Field(ge=1, le=128)
    """CPU cores. A change waits for the next start; `--reboot` does that."""
    memory_mib: int = Field(ge=512)
    """Memory in MiB. A change waits for the next start; `--reboot` does that."""
    os_disk_gib: int = Field(default=20, ge=4)
    """System disk in GiB. Larger: in place, at once, and the next deploy grows the file system. Smaller:
    `--replace NAME`."""
    description: str | None = Field(default=None, min_length=1, max_length=8192)
    """Notes of the VM in Proxmox. A change is applied in place, at once; none: whatever stands there is left
    alone."""
    data_disks: tuple[DataDisk, ...] = Field(default=(), max_length=29)  # scsi2 to scsi30
    """Further disks, in this order; add at the end. One more is added in place, at once, and mounted by the
    next deploy; one that is left out here stays on the VM."""

    @field_validator("data_disks")
    @classmethod
    def _own_mounts(cls, value: tuple[DataDisk, ...]) -> tuple[DataDisk, ...]:
        mounts = [disk.mount for disk in value]
        if twice := sorted({mount for mount in mounts if mounts.count(mount) > 1}):
            raise ValueError(f"{twice[0]} is the mount of two disks; give each its own")
        return value


class Pool(Shape):
    """Machines alike, numbered from 1 to `count`."""

    name: Hostname
    """The machines are named ENV-NAME-1, ENV-NAME-2 and so on. Another name means other machines."""
    count: int = Field(ge=0, le=100)
    """The highest number. More: created at the end. Fewer: deleted from the end, after you typed the
    environment's name."""
    without: tuple[int, ...] = ()
    """Numbers that are left out, so that a machine in the middle can go while the others keep what they
    have."""
    first_vmid: int = Field(ge=100, le=999_999_999)
    """VMID of number 1; the others follow. All lie inside the environment's `vmids`."""
    first_host: int = Field(ge=1)
    """Host number of number 1 in the networks; the others follow. It makes the addresses: later `--replace
    NAME`."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the Kubernetes nodes. Set and removed by the next deploy, without a restart."""
    taints: tuple[str, ...] = ()
    """Taints of the Kubernetes nodes, key=value:Effect. Set and removed by the next deploy, without a
    restart."""
    nodes: tuple[Hostname, ...] = ()
    """Proxmox nodes for the pool's machines, in turn; none: all of `proxmox.nodes`. Only at creation: a
    machine that was migrated is found where it is."""

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
    """The machines are named ENV-server-1 and so on. Another name means other machines."""

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
    """The machine is named ENV-NAME. Another name means another machine."""
    vmid: int = Field(ge=100, le=999_999_999)
    """Its VMID, inside the environment's `vmids`."""
    host: int = Field(ge=1)
    """Its host number in the networks. It makes the addresses: later `--replace NAME`."""
    node: Hostname | None = None
    """The Proxmox node that it is created on; none: the first of `proxmox.nodes`."""
