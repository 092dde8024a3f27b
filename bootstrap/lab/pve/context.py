"""The lab's parts in one value, handed to every endpoint."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.access import Access
from bootstrap.lab.pve.login import Login
from bootstrap.lab.pve.machines import Machines
from bootstrap.lab.pve.mishap import Mishaps
from bootstrap.lab.pve.state import Store
from bootstrap.lab.pve.storage import Storages
from bootstrap.lab.pve.tasks import Tasks

if TYPE_CHECKING:
    from pathlib import Path

    from bootstrap.lab.backend import Backend
    from bootstrap.lab.pve.machines import Machine

REPOSITORY_ID = b"rzp-lab".hex()  # says what answers, where a build's commit would stand


@dataclass(frozen=True, kw_only=True)
class Release:
    """What the two releases say of themselves."""

    version: str
    qemu: str


RELEASES = {"8.4": Release(version="8.4.21", qemu="9.2.0"), "9.2": Release(version="9.2.11", qemu="10.0.13")}


@dataclass(frozen=True, kw_only=True)
class Lab:
    """`files` is the base URL of the file server as the machines see it, `loopback_files` as the daemon does."""

    state: Path
    plan: dict[str, Any]
    fingerprint: str
    store: Store
    access: Access
    login: Login
    tasks: Tasks
    storages: Storages
    machines: Machines
    backend: Backend
    mishaps: Mishaps
    files: str
    loopback_files: str
    opened: float

    @property
    def pve(self) -> str:
        return str(self.plan["pve"])

    @property
    def version(self) -> dict[str, str]:
        """What the node says of its release; the repository's mark says who answers."""
        own = {"version": RELEASES[self.pve].version, "release": self.pve, "repoid": REPOSITORY_ID}
        return {**own, **self.plan.get("version", {})}

    @property
    def qemu(self) -> str:
        return str(self.plan.get("qemu") or RELEASES[self.pve].qemu)

    @property
    def nodes(self) -> list[str]:
        return list(self.plan["nodes"])

    @property
    def cpus(self) -> int:
        """Processors of a node. Generous, since an environment's machines are larger than the computer under the lab."""
        return int(self.plan.get("cpus", max(64, os.cpu_count() or 1)))

    def reported(self, machine: Machine) -> bool:
        """Whether the status daemon, which goes round every 10 seconds, has seen the machine."""
        seen = time.time() - machine.created >= float(self.plan.get("statistics_interval", 10))
        return seen and self.warmed_up

    @property
    def warmed_up(self) -> bool:
        """Whether the status daemon has gone round since the nodes came up. Usually long ago."""
        return time.time() - self.opened >= float(self.plan.get("first_statistics", 0))


def make(
    state: Path, plan: dict[str, Any], backend: Backend, *, fingerprint: str, files: str, loopback_files: str
) -> Lab:
    """Reads what the last daemon left."""
    store = Store(state / "state.sqlite")
    access, pace = Access(store, str(plan["pve"])), float(plan.get("pace", 0.02)) / 2
    return Lab(
        state=state,
        plan=plan,
        fingerprint=fingerprint,
        store=store,
        access=access,
        login=Login(store, access),
        tasks=Tasks(store, pace=pace),
        storages=Storages(store, state / "storage"),
        machines=Machines(store, plan.get("containers", []), pace=pace),
        backend=backend,
        mishaps=Mishaps(state),
        files=files,
        loopback_files=loopback_files,
        opened=time.time(),
    )
