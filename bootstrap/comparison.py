"""Comparison: what is wanted of each machine against what is there, as changes, conflicts and notes. Pure."""

from __future__ import annotations

from bootstrap.change import Change, Create, Delete, Differs, Finish, Reboot, Start, Update
from bootstrap.deletion import advice, foreign_disks
from bootstrap.fields import Verdict, field_changes, waiting
from bootstrap.live import Live, Observed
from bootstrap.machine import Machine


class Comparison:
    """Judges one machine after the other. `advise`: say what has to be done before a node of a cluster goes."""

    def __init__(
        self, environment: str, observed: Observed, *, reboot: bool = False, advise: bool = True
    ) -> None:
        self.environment = environment
        self.observed = observed
        self.reboot = reboot
        self.advise = advise
        self.changes: list[Change] = []
        self.conflicts: list[str] = []
        self.notes: list[str] = []
        self.unjudged: list[str] = []

    def judge(self, machine: Machine, live: Live | None, *, replace: bool) -> None:
        """A machine that is wanted, and what holds its VMID. `replace`: it shall be made anew."""
        away = self.observed.away.get(machine.vmid)
        if away is not None or (live is None and machine.node in self.observed.unreached):
            self.unseen(machine.name, machine.vmid, away or machine.node)
        elif live is None:
            self.changes.append(Create(machine))
        elif live.lock == "create" and not live.name and machine.vmid in self.observed.creating:
            self.changes.append(Finish(machine, live))
        elif proofs := live.missing_proofs(self.environment, machine.name):
            self.conflicts.append(taken(machine, live, proofs))
        elif replace:
            self._replace(machine, live)
        else:
            self._existing(machine, live)

    def unseen(self, name: str, vmid: int, node: str) -> None:
        """A machine on a node that Proxmox cannot reach."""
        self.unjudged.append(
            f"{name} (VMID {vmid}) on {node}: the node is not reached; switch it on and run again"
        )

    def _existing(self, machine: Machine, live: Live) -> None:
        """A machine of ours that is there."""
        if live.lock == "create":
            self.changes.append(Finish(machine, live))
            return
        unfinished = live.own_seed is not None or has_seed(machine, live, self.observed)
        differing = tuple(field_changes(machine, live))
        if unfinished:  # finishing brings the system disk to its size
            differing = tuple(
                change for change in differing if change.field != f"{machine.disks[0].slot} size"
            )
        update = Update(machine, live, tuple(c for c in differing if c.verdict is not Verdict.REPLACE))
        if update.changes:
            self.changes.append(update)
        if rest := tuple(change for change in differing if change.verdict is Verdict.REPLACE):
            self.changes.append(Differs(machine, rest))
        if unfinished:
            self.changes.append(Finish(machine, live))
        elif not live.running:
            self.changes.append(Start(machine, live))
        if live.running:
            self._reboot(update)
        for slot in sorted(live.leaving & {disk.slot for disk in machine.disks}):
            self.notes.append(
                f"{machine.name}: {slot} is taken off at its next start, as somebody asked for by hand;"
                f" to keep it, type on {live.node}: qm set {machine.vmid} --revert {slot}"
            )
        if live.node != machine.node:
            self.notes.append(
                f"{machine.name} runs on {live.node} (placed on {machine.node}); it stays there"
            )

    def _reboot(self, update: Update) -> None:
        machine, live = update.machine, update.live
        undone = {change.field for change in update.changes}
        due = tuple(change for change in waiting(live) if change.field not in undone)
        due += tuple(change for change in update.changes if change.verdict is Verdict.REBOOT)
        if due and self.reboot:
            self.changes.append(Reboot(machine, live, due))
        elif due and not update.needs_reboot:
            what = "; ".join(map(str, due))
            self.notes.append(
                f"{machine.name} waits for a reboot: {what} (rzp-bootstrap {self.environment} --reboot)"
            )

    def _replace(self, machine: Machine, live: Live) -> None:
        """Deleted, then made anew in its place."""
        if self._delete(live, machine):
            self.changes.append(Create(machine))

    def surplus(self, live: Live, machine: Machine | None) -> None:
        """A VM that is not wanted: deleted when ours; `machine`: what the environment knows of it."""
        if not (proofs := live.missing_proofs(self.environment, live.name)):
            self._delete(live, machine)
            return
        if broken := _broken_off(live):
            self.notes.append(broken)
            return
        name = f" {live.name}" if live.name else ""
        self.notes.append(
            f"VMID {live.vmid} on {live.node}{name} is not ours ({'; '.join(proofs)}); it is not touched"
        )

    def _delete(self, live: Live, machine: Machine | None) -> bool:
        """Whether nothing stands before it."""
        if foreign := foreign_disks(live, machine):
            self.conflicts += foreign
            return False
        if live.fields.get("protection"):
            self.notes.append(
                f"{live.name} is protected and will not be deleted, unless you type on {live.node}:"
                f" qm set {live.vmid} --protection 0"
            )
        self.changes.append(Delete(live))
        self.notes += advice(live, self.environment) if self.advise else []
        return True


def taken(machine: Machine, live: Live, proofs: list[str]) -> str:
    """The conflict of a machine whose VMID something else holds."""
    if broken := _broken_off(live):
        return broken
    what = (
        f"VM {live.name}"
        if live.kind == "qemu" and live.name
        else ("container" if live.kind == "lxc" else "VM")
    )
    return (
        f"VMID {machine.vmid} on {live.node} is taken by {what} that is not ours ({'; '.join(proofs)});"
        f" it was not touched. Move it away, or give {machine.name} another first_vmid"
    )


def _broken_off(live: Live) -> str | None:
    """What may be left of a creation, ours or not: it shows nothing but its lock."""
    if live.lock != "create" or live.name:
        return None
    return (
        f"VMID {live.vmid} on {live.node} is locked by a creation that is not ours, or that broke off; it was not"
        f" touched. If it broke off, type there: qm unlock {live.vmid} && qm destroy {live.vmid}"
    )


def has_seed(machine: Machine, live: Live, observed: Observed) -> bool:
    """Whether its seed still lies where it runs; one on another node is a left-over."""
    return any(
        node == live.node and volume.endswith(f"/{machine.seed_iso}") for node, volume in observed.seeds
    )
