"""Live: what Proxmox shows of a VM, and which proofs of ownership it lacks. Observed: all that a plan needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bootstrap.machine import identity, own_tags, seed_name

# The slot of the seed's cdrom; ejected it stays behind, empty (unplugging is refused while `boot` names it).
SEED_SLOT = "scsi1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A VM as Proxmox shows it, with what waits for its next start.

    `disks`: slot → GiB; `volumes`: slot → volume, unused ones too; `taken`: slot → what else is in it, a medium or a disk of
    unknown size; `leaving`: slots that are empty after the next start; `seed`: volume of the ISO in the seed's slot, None when
    empty; `running_fields`: those whose running value differs.
    """

    vmid: int
    node: str
    kind: Literal["qemu", "lxc"] = "qemu"
    name: str = ""
    uuid: str = ""
    tags: frozenset[str] = frozenset()
    running: bool = False
    lock: str | None = None
    digest: str = ""
    seed: str | None = None
    disks: Mapping[str, float] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    fields: Mapping[str, Any] = field(default_factory=dict)
    running_fields: Mapping[str, Any] = field(default_factory=dict)
    net0: str = ""

    @property
    def own_seed(self) -> str | None:
        """What is in the seed's drive, when it is its seed and not a medium that somebody put in."""
        return self.seed if self.seed and self.seed.endswith(f"/{seed_name(self.name)}") else None

    def missing_proofs(self, environment: str, name: str) -> list[str]:
        """Which of the proofs of ownership this VM lacks to be machine `name`; empty: it is ours."""
        if self.kind != "qemu":
            return ["it is a container"]
        found = []
        if self.uuid != str(identity(environment, name)):
            found.append(f"SMBIOS UUID is {self.uuid or 'not set'}")
        if self.name != name:
            found.append(f"name is {self.name or 'not set'}")
        lacking = sorted(own_tags(environment) - self.tags)
        if lacking:
            found.append(f"tag {' and '.join(lacking)} is missing")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was read. `vms`: those in the environment's VMID range or with its tags; `images`: nodes that hold the image;
    `seeds`: (node, volume) of seed ISOs of this environment; `creating`: VMIDs with a create task of ours running;
    `shared`: the image storage is one for all nodes; `unreached`: nodes that Proxmox cannot reach; `away`: VMID → such a node."""

    vms: tuple[Live, ...] = ()
    images: frozenset[str] = frozenset()
    seeds: frozenset[tuple[str, str]] = frozenset()
    creating: frozenset[int] = frozenset()
    shared: bool = False
    unreached: frozenset[str] = frozenset()
    away: Mapping[int, str] = field(default_factory=dict)
