"""Lifecycle: one machine's way from nothing to a host that answers, and away again.

Each step is judged from what Proxmox shows at that moment, so the same code finishes what an earlier run began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from bootstrap.comparison import taken
from bootstrap.config.base import Environment
from bootstrap.errors import (
    ImpossiblePlan,
    ProxmoxError,
    RzpError,
    UnknownOutcome,
    WaitTimeout,
)
from bootstrap.fields import FieldChange, Verdict, field_changes, waiting
from bootstrap.live import Live
from bootstrap.machine import Machine
from bootstrap.proxmox import images, machines, read, tasks
from bootstrap.proxmox.session import Client
from bootstrap.sshprobe import Prober, fingerprint, same_key

_API_PORT = 6443
# A step, and what it waits for ("" for nothing).
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What every machine's way needs. `seed`: its ISO; `host_key`: the key that it will show; `key_limit`: seconds; `served`:
    servers whose API answered before their reboot."""

    client: Client
    environment: Environment
    seed: Callable[[Machine], bytes]
    host_key: Callable[[Machine], str]
    probe: Prober
    wait: bool
    key_limit: float
    served: set[str] = field(default_factory=set)

    def bring_up(self, machine: Machine, known: Live | None, say: Say) -> str:
        """From whatever is there to a machine that runs, answers, and needs its seed no more."""
        live = self._made(machine, known, say)
        system = machine.disks[0]
        if live.disks.get(system.slot, 0) < system.gib:
            say(f"its disk grows to {system.gib} GiB", "")
            machines.grow(self.client, live, system)
        if not live.running:
            if live.own_seed and known is not None:
                # It may be from another day, or deleted by hand.
                self._upload_seed(machine, live.node, say)
            machines.start(self.client, live, partial(say, "starts"))
        if live.own_seed and not self.wait:
            return "started; its seed stays in until the next run"
        answered = self._reached(machine, say)
        self._take_seed_out(machine, live.node, say)
        return answered

    def look(self, machine: Machine) -> Live | None:
        """The VM that holds the machine's VMID by now, wherever it is."""
        return read.find(self.client, machine.vmid)[0]

    def _made(self, machine: Machine, known: Live | None, say: Say) -> Live:
        """The machine, created by this run or an earlier one."""
        client = self.client
        if known is not None:
            self._settled(known, say)
            live, creation = read.machine(client, known.node, known.vmid)
        else:
            self._upload_seed(machine, machine.node, say)
            live, creation = self._claim(machine, say)
        if live is not None and creation is not None:
            tasks.wait(
                client, creation, limit=machines.CREATE_LIMIT, waiting=partial(say, "is being created")
            )
            live, _ = read.machine(client, live.node, live.vmid)
        if live is None:
            raise ProxmoxError(
                f"{machine.name}: VMID {machine.vmid} was there and is gone; run the command again"
            )
        if proofs := live.missing_proofs(self.environment.name, machine.name):
            if known is None and live.lock != "create":  # else it may be another run's, which needs that seed
                images.delete_volume(client, machine.node, machines.seed_volume(machine, self.environment))
            raise ImpossiblePlan(taken(machine, live, proofs))
        return live

    def _settled(self, live: Live, say: Say) -> None:
        """What a killed run had asked for may still be under way, and would change the VM between read and write."""
        tasks.settle(self.client, live.node, live.vmid, partial(say, "an earlier run's step ends"))

    def _claim(self, machine: Machine, say: Say) -> tuple[Live | None, str | None]:
        """Create, unless somebody was faster; a create without an answer may have happened: look, never repeat."""
        try:
            machines.create(self.client, machine, self.environment, partial(say, "is created"))
        except ProxmoxError as error:
            if not isinstance(error, UnknownOutcome) and "already exists on node" not in str(error):
                raise
            found = read.find(self.client, machine.vmid)
            if found == (None, None):
                raise
            return found
        return read.machine(self.client, machine.node, machine.vmid, running=False)

    def _upload_seed(self, machine: Machine, node: str, say: Say) -> None:
        say("its seed goes up", "")
        storage = self.environment.proxmox.image_storage
        images.upload_seed(self.client, node, storage, machine.seed_iso, self.seed(machine))

    def start(self, machine: Machine, live: Live, say: Say) -> str:
        """A finished machine that was switched off."""
        self._settled(live, say)
        machines.start(self.client, self._own(machine, live), partial(say, "starts"))
        return self._reached(machine, say)

    def update(self, machine: Machine, planned: Live, changes: Collection[FieldChange], say: Say) -> str:
        """Bring the planned fields to what is wanted, as far as they still differ; every write names the state it is based on."""
        asked = {change.field for change in changes}

        def due(live: Live) -> list[FieldChange]:
            return [change for change in field_changes(machine, live) if change.field in asked]

        self._settled(planned, say)
        live = self._own(machine, planned)
        settings = [change.field for change in due(live) if not change.is_disk]
        if settings:
            say(f"its {', '.join(settings)} changes", "")
            machines.change(self.client, machine, live, settings)
        for disk in machine.disks:
            live = self._own(machine, planned)
            change = next((c for c in due(live) if c.field == f"{disk.slot} size"), None)
            if change is not None and change.old is None:
                machines.add_disk(self.client, live, disk, partial(say, f"{disk.slot} is added"))
            elif change is not None and change.verdict is not Verdict.REPLACE:
                say(f"{disk.slot} grows to {disk.gib} GiB", "")
                machines.grow(self.client, live, disk)
        return "changed"

    def reboot(self, machine: Machine, planned: Live, say: Say) -> str:
        """Off and on again; a server whose API answered has to answer again before the next machine's turn."""
        self._settled(planned, say)
        live = self._still_own(machine, self._now(planned))
        if machine.role == "server" and self.probe.answers(machine.address, _API_PORT):
            self.served.add(machine.name)
        due = not live.running or bool(waiting(live))
        if live.running and due:
            machines.switch_off(self.client, live, partial(say, "shuts down"))
        if due:
            machines.start(self.client, live, partial(say, "starts"))
        # Also without a start of its own: this may be the second look, after a lost answer, and it may still boot.
        answered = self._reached(machine, say)
        if machine.name in self.served and self.wait:
            self._await_api(machine, say)
        return answered if due else "needs no reboot any more"

    def _await_api(self, machine: Machine, say: Say) -> None:
        say("its API server starts", f"port {_API_PORT} of {machine.address}, at most {self.key_limit:.0f} s")
        deadline = time.monotonic() + self.key_limit
        while not self.probe.answers(machine.address, _API_PORT):
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"{machine.name}: port {_API_PORT} of {machine.address} answered before the reboot, and has not within"
                    f" {self.key_limit:.0f} s after it; look there: journalctl -u k3s. No further machine is rebooted"
                )
            self.client.pause(min(1.0, self.key_limit / 10))

    def _own(self, machine: Machine, planned: Live) -> Live:
        """As it is now, with its digest; power is the plan's."""
        return self._still_own(machine, self._now(planned, running=planned.running))

    def _now(self, planned: Live, *, running: bool | None = None) -> Live | None:
        """It may have been moved to another node since the plan."""
        live, _ = read.machine(self.client, planned.node, planned.vmid, running=running)
        return live or read.find(self.client, planned.vmid)[0]

    def _still_own(self, machine: Machine, live: Live | None) -> Live:
        if live is None or live.missing_proofs(self.environment.name, machine.name):
            raise ImpossiblePlan(f"{machine.name}: VM {machine.vmid} is no longer ours; it was not touched")
        return live

    def _reached(self, machine: Machine, say: Say) -> str:
        """Wait until the machine shows the host key that was made for it."""
        if not self.wait:
            return "started"
        wanted = self.host_key(machine)
        say("boots", f"its host key on {machine.address} port 22, at most {self.key_limit:.0f} s")
        deadline = time.monotonic() + self.key_limit
        while (seen := self.probe.look(machine.address)).key is None:
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"{machine.name}: {machine.address} has not shown its host key within {self.key_limit:.0f} s"
                    f" ({seen.evidence}); look at the console of VM {machine.vmid} on {machine.node}, then run again"
                )
            self.client.pause(min(1.0, self.key_limit / 10))
        if not same_key(seen.key, wanted):
            raise RzpError(
                f"{machine.name}: {machine.address} shows host key {fingerprint(seen.key)}, expected is"
                f" {fingerprint(wanted)}; another machine has this address, or its secret ssh.host-key-seed was changed"
            )
        return f"answers on {machine.address}"

    def _take_seed_out(self, machine: Machine, node: str, say: Say) -> None:
        """Eject the ISO that the machine has read by now, and delete it."""
        live, _ = read.machine(self.client, node, machine.vmid, running=True)
        if live is None or live.missing_proofs(self.environment.name, machine.name):
            raise ImpossiblePlan(
                f"{machine.name}: VM {machine.vmid} was exchanged during the run; look at it"
            )
        volume = live.seed or machines.seed_volume(machine, self.environment)
        if not volume.endswith(f"/{machine.seed_iso}"):
            raise ImpossiblePlan(
                f"{machine.name}: its seed's drive holds {volume}, which is not its seed; take that out and run again"
            )
        if live.seed:
            say("its seed is ejected", "")
            machines.eject(self.client, live)
        say("its seed is deleted", "")
        images.delete_volume(self.client, live.node, volume)

    def delete(self, planned: Live, say: Say) -> str:
        """Only what is still the machine that the plan named, and not under protection."""
        self._settled(planned, say)
        live = self._now(planned)
        if live is None:
            return "was gone already"
        if proofs := live.missing_proofs(self.environment.name, planned.name):
            raise ImpossiblePlan(
                f"{planned.name}: VMID {live.vmid} is no longer ours ({'; '.join(proofs)}); it was not touched"
            )
        if live.fields.get("protection"):
            raise ImpossiblePlan(
                f"{live.name} (VMID {live.vmid}) is protected and was not touched; to lift it, type on {live.node}:"
                f" qm set {live.vmid} --protection 0"
            )
        if new := sorted(slot for slot, _ in live.volumes.items() - planned.volumes.items()):
            raise ImpossiblePlan(
                f"{live.name} (VMID {live.vmid}) got {', '.join(new)} since the plan was made; it was not touched. Run again"
            )
        if live.running:
            machines.switch_off(self.client, live, partial(say, "shuts down"))
        machines.delete(self.client, live, partial(say, "is deleted"))
        if live.own_seed:
            images.delete_volume(self.client, live.node, live.own_seed)
        return "deleted"
