"""Carry a plan out: images, then deletions, then machines in parallel, then left-over seeds.

A machine that fails does not stop the others; a run that was killed at any point is finished by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bootstrap.apply.event import Event, Report
from bootstrap.apply.lifecycle import Lifecycle, Say
from bootstrap.change import Change, Create, Delete, DropSeed, FetchImage, Finish, Reboot, Start, Update
from bootstrap.config.base import Environment
from bootstrap.errors import ImpossiblePlan, RzpError, UnknownOutcome
from bootstrap.machine import Machine
from bootstrap.plan import Plan
from bootstrap.proxmox import images
from bootstrap.proxmox.session import Client
from bootstrap.sshprobe import Prober, SshProbe

__all__ = ["Event", "Result", "apply"]

# A machine shows its host key after 1 to 60 s, by how fast its disk is.
_KEY_LIMIT = 300.0
# After Ctrl-C a call that is under way gets this long; its thread is then left behind.
_STOP_LIMIT = 2.0
_PHASES: tuple[tuple[type, ...], ...] = (
    (FetchImage,),
    (Delete,),
    (Update,),
    (Create, Finish, Start),
    (Reboot,),
    (DropSeed,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was carried out, and what failed, by the name of its subject."""

    done: tuple[Change, ...]
    failures: Mapping[str, RzpError]


def apply(
    plan: Plan,
    *,
    client: Callable[[], Client],
    environment: Environment,
    seed: Callable[[Machine], bytes],
    host_key: Callable[[Machine], str],
    report: Report = lambda _: None,
    wait_for_hosts: bool = True,
    project: Path = Path(),
    probe: Prober | None = None,
    key_limit: float = _KEY_LIMIT,
) -> Result:
    """`wait_for_hosts` False: end when the machines are started; a later run waits for them and takes their seeds out.

    Raises ImpossiblePlan before the first change when something stands in the way of all of it.
    """
    if plan.conflicts:
        raise ImpossiblePlan("\n".join(plan.conflicts))
    lifecycle = Lifecycle(
        client=client(),
        environment=environment,
        seed=seed,
        host_key=host_key,
        probe=probe or SshProbe(),
        wait=wait_for_hosts,
        key_limit=key_limit,
    )
    pool = ThreadPoolExecutor(max_workers=environment.proxmox.parallel)
    try:
        return _Run(lifecycle, report, project, pool).carry_out(plan)
    finally:
        pool.shutdown(wait=False)


@dataclass(frozen=True)
class _Run:
    """`pool`: its threads keep their connections from one phase to the next."""

    lifecycle: Lifecycle
    report: Report
    project: Path
    pool: ThreadPoolExecutor
    failures: dict[str, RzpError] = field(default_factory=dict)

    def carry_out(self, plan: Plan) -> Result:
        new = [change.machine for change in plan.changes if isinstance(change, Create)]
        if not self.lifecycle.wait:
            new = []  # their network may be out of reach
        # What is deleted first may be what answers now.
        freed = [machine for machine in new if _freed(machine, plan)]
        self._addresses_free([machine for machine in new if machine not in freed])
        done: list[Change] = []
        for kinds in _PHASES:
            changes = [change for change in plan.changes if isinstance(change, kinds)]
            if Create in kinds:  # what was to be replaced and is still there is not made a second time
                changes = [
                    c for c in changes if not isinstance(c, Create) or _subject(c) not in self.failures
                ]
                self._addresses_free([machine for machine in freed if machine.name not in self.failures])
            done += self._one_by_one(changes) if Reboot in kinds else self._each(changes)
        return Result(done=tuple(done), failures=self.failures)

    def _addresses_free(self, wanted: Iterable[Machine]) -> None:
        asked = [(machine, str(address.ip)) for machine in wanted for address in machine.addresses]
        with ThreadPoolExecutor(max_workers=32) as pool:
            answers = list(pool.map(self.lifecycle.probe.answers, [address for _, address in asked]))
        used = [
            f"{machine.name}: address {address} already answers on port 22, and the machine does not exist yet;"
            f" free the address, or move first_host of {machine.pool}"
            for (machine, address), answer in zip(asked, answers, strict=True)
            if answer
        ]
        if used:
            raise ImpossiblePlan("\n".join(used))

    def _each(self, changes: list[Change]) -> list[Change]:
        """In parallel, as far as the environment allows. An end by force (Ctrl-C) stops every thread at its next pause."""
        futures = [(change, self.pool.submit(self._one, change)) for change in changes]
        try:
            return [change for change, future in futures if future.result()]
        except BaseException:
            self.lifecycle.client.stop.set()
            self.pool.shutdown(wait=False, cancel_futures=True)
            wait([future for _, future in futures], timeout=_STOP_LIMIT)
            raise

    def _one_by_one(self, changes: list[Change]) -> list[Change]:
        """A machine that does not come back keeps the next one from going."""
        done: list[Change] = []
        for change in changes:
            if self.failures:
                subject = _subject(change)
                self.failures.setdefault(
                    subject, RzpError(f"{subject}: not rebooted, because something failed before")
                )
            else:
                done += self._each([change])
        return done

    def _one(self, change: Change) -> bool:
        subject = _subject(change)
        say = partial(self._say, subject)
        try:
            try:
                said = self._handle(change, say)
            except UnknownOutcome:
                say("an answer was lost; looks what became of it")
                said = self._handle(change, say, again=True)
        except RzpError as error:
            self.failures[subject] = error
            self.report(Event(subject=subject, step=f"failed: {error}", failed=True))
            return False
        self.report(Event(subject=subject, step=said, done=True))
        return True

    def _handle(self, change: Change, say: Say, *, again: bool = False) -> str:
        """Every handler looks before it writes, so it may be called again when the outcome of a write is unknown."""
        match change:
            case FetchImage(node):
                new = images.fetch(
                    self.lifecycle.client,
                    self.lifecycle.environment,
                    node,
                    self.project,
                    partial(say, "the image is fetched"),
                )
                return "the image is there" if new else "the image was there already"
            case Create(machine):
                self._image_needed(machine)
                known = self.lifecycle.look(machine) if again else None
                return self.lifecycle.bring_up(machine, known, say)
            case Finish(machine, live):
                return self.lifecycle.bring_up(machine, live, say)
            case Start(machine, live):
                return self.lifecycle.start(machine, live, say)
            case Update(machine, live, changes):
                return self.lifecycle.update(machine, live, changes, say)
            case Reboot(machine, live):
                return self.lifecycle.reboot(machine, live, say)
            case Delete(live):
                return self.lifecycle.delete(live, say)
            case DropSeed(node, volume):
                images.delete_volume(self.lifecycle.client, node, volume)
                return "deleted"
            case _:
                raise ImpossiblePlan(f"{change} cannot be carried out")

    def _say(self, subject: str, step: str, waiting_for: str = "") -> None:
        self.report(Event(subject=subject, step=step, waiting_for=waiting_for))

    def _image_needed(self, machine: Machine) -> None:
        if f"image on {machine.node}" in self.failures:
            raise RzpError(f"{machine.name}: not begun, because the image is not on {machine.node}")


def _freed(machine: Machine, plan: Plan) -> bool:
    """Whether a deletion of the plan may free an address of the machine; old ones do not say which they have."""
    for gone in plan.deletions:
        remembered = gone.live.fields.get("addresses")
        if gone.live.name == machine.name or remembered is None:
            return True
        if {str(a.ip) for a in machine.addresses} & {part.split("/")[0] for part in remembered.split()}:
            return True
    return False


def _subject(change: Change) -> str:
    match change:
        case FetchImage(node):
            return f"image on {node}"
        case DropSeed(_, volume):
            return volume
        case Delete(live):
            return live.name
        case _:
            return change.machine.name
