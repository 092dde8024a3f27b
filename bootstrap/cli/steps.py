"""The steps that verbs share: read and plan, ask, apply with progress, write the inventory."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import click

from bootstrap import cloudinit, hostkeys
from bootstrap.apply import apply
from bootstrap.cli.render import console, progress, show_failures
from bootstrap.cli.session import Session
from bootstrap.doctor import obstacles
from bootstrap.errors import ImpossiblePlan, InvalidEnvironment, ProxmoxError, RzpError, SecretsError
from bootstrap.journal import Journal
from bootstrap.live import Observed
from bootstrap.machine import Machine
from bootstrap.plan import Plan, diff
from bootstrap.proxmox import tasks
from bootstrap.proxmox.read import observe
from bootstrap.secrets import Secret


def read(session: Session) -> Observed:
    """The live state; GET requests only."""
    return observe(session.client(), session.environment, session.cluster.machines)


def settle(session: Session) -> None:
    """A plan is made when nothing that an earlier run began is going on any more."""
    client = session.client()
    for node in sorted({machine.node for machine in session.cluster.machines}):
        with suppress(ProxmoxError):  # a node that is off: the plan says so
            tasks.settle(
                client,
                node,
                waiting=lambda what: console.print(f"an earlier run's step ends first: {what}", markup=False),
            )


def make_plan(session: Session, *, reboot: bool = False, replacing: Collection[str] = ()) -> Plan:
    """Read Proxmox and compare."""
    environment = session.environment
    names = [machine.name for machine in session.cluster.machines]
    for name in replacing:
        if name not in names:
            raise RzpError(
                f"--replace {name}: no machine of {environment.name}; there are {', '.join(names)}"
            )
    observed = read(session)
    return diff(
        environment.name,
        session.cluster.machines,
        observed,
        image=environment.image.filename,
        image_storage=environment.proxmox.image_storage,
        reboot=reboot,
        replacing=replacing,
    )


def check_ground(session: Session, plan: Plan) -> None:
    """Before the first change: somebody can log in, and storages and bridges are there on the nodes that get a machine."""
    seeds = any(change.verb in ("create", "finish") for change in plan.changes)
    if seeds and not session.environment.access.public_keys(session.project):
        raise InvalidEnvironment(["access: no SSH key; set ACCESS.ssh_keys in bootstrap/config/site.py"])
    machines = [change.machine for change in plan.creations]
    if machines and (found := obstacles(session.client(), session.environment, machines)):
        raise ImpossiblePlan(
            "\n".join(f"{finding.place}: {finding.text}; {finding.fix}" for finding in found)
        )


def ask(plan: Plan, *, yes: bool, confirmed: str | None) -> None:
    """Have the plan confirmed. A deletion wants the environment's name, which -y does not give."""
    name = plan.environment
    if plan.deletions:
        if confirmed is None:
            _need_terminal(f"--confirm-destroy {name}")
            confirmed = click.prompt(
                f"This deletes {len(plan.deletions)} machine(s) with their disks. Type {name} to go on"
            )
        if confirmed != name:
            raise RzpError(f"{name}: {confirmed!r} is not {name!r}; nothing was changed")
    elif not yes:
        _need_terminal("-y")
        if not click.confirm("Apply this plan?"):
            raise RzpError(f"{name}: not confirmed; nothing was changed")


def _need_terminal(option: str) -> None:
    if not sys.stdin.isatty():
        raise RzpError(f"there is no terminal to ask on; add {option}")


def carry_out(session: Session, plan: Plan, *, wait: bool) -> None:
    """Apply with live progress; raises when a part failed, after naming every failed machine."""
    if not plan.applicable:
        return
    seed = (
        session.host_key_seed()
        if any(change.verb in ("create", "finish", "start", "reboot") for change in plan.changes)
        else None
    )

    def seed_iso(machine: Machine) -> bytes:
        keys = session.environment.access.public_keys(session.project)
        return cloudinit.seed(machine, session.environment, ssh_keys=keys, host_key_seed=_known(seed)).iso()

    def host_key(machine: Machine) -> str:
        return hostkeys.public(_known(seed), machine.uuid)

    client = session.client()
    try:
        with progress() as report:
            result = apply(
                plan,
                client=lambda: client,
                environment=session.environment,
                seed=seed_iso,
                host_key=host_key,
                report=session.told(report),
                wait_for_hosts=wait,
                project=session.project,
            )
    except KeyboardInterrupt:
        for upid, what in list(client.waited_for.items()):
            console.print(f"goes on in Proxmox: {what} ({upid})", style="yellow", markup=False)
        raise
    if result.failures:
        show_failures(result)
        raise RzpError(
            f"{plan.environment}: {len(result.failures)} part(s) failed (above); run the same command again to go on"
        )


@contextmanager
def recorded(session: Session, plan: Plan, verb: str) -> Iterator[None]:
    """A journal of the run, where there is something to do; named when the run fails."""
    if not plan.applicable:
        yield
        return
    journal = session.journal = Journal.open(plan.environment, verb=verb)
    journal.write("plan", **plan.as_dict())
    try:
        yield
        journal.write("end", outcome="ok")
    except BaseException as error:
        journal.write("end", outcome=str(error) or type(error).__name__)
        console.print(f"What was done, call by call: {journal.path}", markup=False)
        raise
    finally:
        session.journal = None
        journal.close()
        if journal.fault:
            console.print(f"{journal.path}: lines are missing: {journal.fault}", style="yellow", markup=False)


def _known(seed: Secret | None) -> Secret:
    if seed is None:
        raise SecretsError("ssh.host-key-seed is needed here and was not read")
    return seed


def seed_if_readable(session: Session) -> tuple[Secret | None, str]:
    """The host-key seed, or None with the reason why it cannot be had."""
    try:
        return session.host_key_seed(), ""
    except SecretsError as error:
        return None, str(error)


def write_inventory(session: Session) -> None:
    """Write what differs, and say so."""
    seed, why = seed_if_readable(session)
    if seed is None and not session.lacks_lab:
        console.print(f"known_hosts was not written: {why}", style="yellow", markup=False)
    for file in session.generated(seed):
        name = file.path.relative_to(session.project)
        if file.write():
            console.print(f"wrote {name}", markup=False)
    for sentence in session.workloads.left_out:
        console.print(f"left out: {sentence}", style="yellow", markup=False)
