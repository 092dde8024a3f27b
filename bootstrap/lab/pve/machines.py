"""The virtual machines: configuration, what waits for the next start, the digest, and one lock for each."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from bootstrap.lab.pve import mishap
from bootstrap.lab.pve.fault import Fault, no_config
from bootstrap.lab.pve.options import DRIVES, OPTIONS
from bootstrap.lab.pve.schema import properties

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from bootstrap.lab.pve.state import Store
    from bootstrap.lab.pve.tasks import Task

LOCK_SECONDS = 10.0


@dataclass
class Machine:
    """`pending` and `removals` wait for the next stop (a disk of a `forced` removal dies then); `systems` are the volumes that carry
    an operating system."""

    vmid: int
    node: str
    created: float
    config: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    removals: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    systems: list[str] = field(default_factory=list)
    started: float = 0.0
    pid: int = 0

    @property
    def digest(self) -> str:
        """The SHA-1 of the configuration as a file: settings in order, then what is pending."""
        lines = [f"{key}: {value}" for key, value in sorted(self.config.items())]
        if self.pending or self.removals:
            lines += ["[PENDING]", f"delete: {','.join(sorted(self.removals))}"]
            lines += [f"{key}: {value}" for key, value in sorted(self.pending.items())]
        return hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest()

    def next_config(self) -> dict[str, str]:
        """The configuration that the next start will have."""
        return {
            key: value for key, value in {**self.config, **self.pending}.items() if key not in self.removals
        }

    def shown(self, *, current: bool) -> dict[str, Any]:
        values = self.config if current else self.next_config()
        held = {"lock": lock} if (lock := mishap.lock()) else {}
        return {key: typed(key, value) for key, value in values.items()} | {"digest": self.digest} | held

    def drives(self) -> dict[str, dict[str, str]]:
        return {slot: properties(self.config[slot], "file") for slot in DRIVES if slot in self.config}

    def check_lock(self) -> None:
        if lock := mishap.lock() or self.config.get("lock"):
            raise Fault(500, f"VM is locked ({lock})")

    @contextlib.contextmanager
    def unchanged_on_fault(self) -> Iterator[None]:
        before = {
            name: copy.copy(getattr(self, name)) for name in ("config", "pending", "removals", "forced")
        }
        try:
            yield
        except Fault:
            vars(self).update(before)
            raise

    def check_protection(self, what: str) -> None:
        if self.config.get("protection") == "1":
            raise Fault(500, f"{what} - protection mode enabled")

    def clean_pending(self) -> None:
        """Drops what would change nothing."""
        self.pending = {key: text for key, text in self.pending.items() if self.config.get(key) != text}
        self.removals = [key for key in self.removals if key in self.config]

    def check_digest(self, digest: str) -> None:
        if digest and digest != self.digest:
            raise Fault(500, "checksum mismatch (file change by other user?)")


def typed(key: str, value: str) -> Any:
    """Numbers and switches are JSON numbers; everything else, memory too, is text. The password is nobody's."""
    option = OPTIONS.get(key)
    if key == "cipassword":
        return "**********"
    return int(value) if option and option.rule.kind in ("integer", "boolean") else value


def is_cdrom(drive: dict[str, str]) -> bool:
    return drive.get("media") == "cdrom"


class Machines:
    """All machines of the lab's cluster, by VMID. `containers` take their VMIDs too; the lab shows them, no more.

    `pace`: seconds that a task works on a machine at least, so that others have to wait; `slow`, when set, holds for everybody."""

    def __init__(self, store: Store, containers: Iterable[dict[str, Any]] = (), *, pace: float = 0.0) -> None:
        self._store = store
        self.pace = pace
        self.slow = 0.0
        self.containers = {int(one["vmid"]): one for one in containers}
        self.all: dict[int, Machine] = {int(key): Machine(**value) for key, value in store.load("vm").items()}
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def find(self, node: str, vmid: int) -> Machine:
        machine = self.all.get(vmid)
        if machine is None or machine.node != node:
            raise no_config(node, vmid)
        return machine

    def claim(self, node: str, vmid: int) -> Machine:
        """Takes the VMID; of several that ask at once one gets it."""
        taken = self.containers.get(vmid) or (asdict(self.all[vmid]) if vmid in self.all else None)
        if taken:
            kind, place = "CT" if vmid in self.containers else "VM", taken["node"]
            raise Fault(500, f"unable to create VM {vmid} - {kind} {vmid} already exists on node '{place}'")
        machine = self.all[vmid] = Machine(
            vmid=vmid, node=node, created=time.time(), config={"lock": "create"}
        )
        self.save(machine)
        return machine

    def save(self, machine: Machine) -> None:
        self._store.put("vm", str(machine.vmid), asdict(machine))

    def drop(self, vmid: int) -> None:
        self.all.pop(vmid, None)
        self._store.drop("vm", str(vmid))

    @contextlib.asynccontextmanager
    async def locked(self, vmid: int, task: Task | None = None) -> AsyncIterator[None]:
        """Holds the machine's lock file; a task says that it waits."""
        lock = self._locks.setdefault(vmid, asyncio.Lock())
        waits = lock.locked()
        if waits and task:
            task.log("trying to acquire lock...")
        try:
            if mishap.met("busy"):
                raise TimeoutError
            await asyncio.wait_for(lock.acquire(), LOCK_SECONDS)
        except TimeoutError as error:
            raise Fault(
                500, f"can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout"
            ) from error
        if waits and task:
            task.log(" OK")
        try:
            await asyncio.sleep(self.slow or (self.pace if task else 0))
            yield
        finally:
            lock.release()
