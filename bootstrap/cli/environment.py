"""The verbs of an environment: up, plan, output, inventory, doctor. Each reads as its list of steps."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection

import click

from bootstrap import charts, config, runlock
from bootstrap import doctor as checks
from bootstrap import output as outputs
from bootstrap.cli import lab, steps
from bootstrap.cli.render import console, show_findings, show_plan, show_rest
from bootstrap.cli.session import Session
from bootstrap.errors import ImpossiblePlan, InvalidEnvironment, RzpError
from bootstrap.plan import Plan

_env = click.argument("environment", metavar="ENV")
_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.command()
@_env
@click.option(
    "--dry-run", is_flag=True, help="Show the plan and stop: exit 0 nothing to do, 2 changes, 1 an error."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask (a deletion still wants --confirm-destroy).")
@click.option("--confirm-destroy", metavar="ENV", help="Answers the question before a deletion, for scripts.")
@click.option(
    "--no-wait",
    is_flag=True,
    help="End when the machines are started; a later run waits for them and ejects their seeds. Does not look whether addresses are free.",
)
@click.option(
    "--reboot",
    is_flag=True,
    help="Reboot, one after the other, machines on which something waits for it (cores, memory, CPU type).",
)
@click.option(
    "--replace",
    "replacing",
    multiple=True,
    metavar="NAME",
    help="Delete this machine with its disks and make it anew; may be given again.",
)
def up(
    environment: str,
    dry_run: bool,
    yes: bool,
    confirm_destroy: str | None,
    no_wait: bool,
    reboot: bool,
    replacing: tuple[str, ...],
) -> None:
    """Plan, ask, create and change the machines, write the inventory.

    `rzp-bootstrap ENV` is short for this. Running it again finishes an interrupted run and otherwise changes nothing.
    """
    if reboot and no_wait:
        raise click.UsageError(
            "--reboot waits for each machine before the next one goes; leave --no-wait out"
        )
    if dry_run:
        sys.exit(_preview(environment, as_json=False, reboot=reboot, replacing=replacing))
    lab.ensure(environment, machines=not no_wait)
    session = Session.open(environment)
    with runlock.held(environment):
        steps.settle(session)
        plan = steps.make_plan(session, reboot=reboot, replacing=replacing)
        show_plan(plan)
        if plan.conflicts:
            raise ImpossiblePlan(
                f"{environment}: {len(plan.conflicts)} conflict(s) stand in the way (above); nothing was changed"
            )
        steps.check_ground(session, plan)
        if plan.applicable:
            steps.ask(plan, yes=yes, confirmed=confirm_destroy)
        with steps.recorded(session, plan, "up"):
            _bring_up(session, plan, wait=not no_wait)
    show_rest(plan)


def _bring_up(session: Session, plan: Plan, *, wait: bool) -> None:
    for sentence in session.make_secrets(machines=len(plan.creations) < len(session.cluster.machines)):
        console.print(sentence, markup=False)
    steps.carry_out(session, plan, wait=wait)
    steps.write_inventory(session)


@click.command()
@_env
@_json
def plan(environment: str, as_json: bool) -> None:
    """Show what `up` would do; reads only. Exit 0 nothing to do, 2 changes, 1 an error."""
    sys.exit(_preview(environment, as_json=as_json))


def _preview(
    environment: str, *, as_json: bool, reboot: bool = False, replacing: Collection[str] = ()
) -> int:
    plan = steps.make_plan(Session.open(environment), reboot=reboot, replacing=replacing)
    if as_json:
        click.echo(json.dumps(plan.as_dict(), indent=2))
    else:
        show_plan(plan)
    if plan.conflicts:
        raise ImpossiblePlan(
            f"{environment}: {len(plan.conflicts)} conflict(s) stand in the way; nothing can be applied"
        )
    if plan.unjudged:
        raise ImpossiblePlan(f"{environment}: {len(plan.unjudged)} machine(s) could not be looked at")
    return 2 if plan.changes else 0


@click.command()
@_env
@_json
@click.argument("name", required=False)
def output(environment: str, name: str | None, as_json: bool) -> None:
    """The environment's outputs (masterIps, workerIps, allNodes, kubeconfig, …), all or the one NAMEd."""
    session = Session.open(environment, ready=False)
    values = outputs.outputs(session.cluster, session.project)
    if name is not None and name not in values:
        raise RzpError(f"{environment}: no output {name}; there are {', '.join(values)}")
    shown = values if name is None else values[name]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for key, value in values.items():
        if name in (None, key):
            text = value if isinstance(value, str) else json.dumps(value)
            click.echo(text if name else f"{key}: {text}")


@click.command()
@_env
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file is stale.")
def inventory(environment: str, check: bool) -> None:
    """Write what follows from the environment, where it differs: inventories/ENV.py, its group data, known_hosts, and
    kubernetes/clusters/ENV, which Argo CD reads from Git: commit and push it.
    """
    session = Session.open(environment, ready=False)
    if session.lacks_lab:
        click.echo("no lab is running, so of demo only kubernetes/clusters/demo is looked at")
    elif faults := config.unpinned(session.environment):
        raise InvalidEnvironment(faults)
    if not check:
        steps.write_inventory(session)
        return
    seed, why = steps.seed_if_readable(session)
    stale = [file.path for file in session.generated(seed) if file.stale]
    if seed is None and not session.lacks_lab:
        click.echo(f"known_hosts was not checked: {why}")
    if stale:
        names = ", ".join(str(path.relative_to(session.project)) for path in stale)
        raise RzpError(f"{names}: not up to date; run: rzp-bootstrap inventory {environment}")
    click.echo(f"{environment}: the inventory is up to date")


@click.command()
@_env
@click.option(
    "--print-setup",
    is_flag=True,
    help="Print the pveum and pvesm lines that a new Proxmox needs; logs in nowhere.",
)
def doctor(environment: str, print_setup: bool) -> None:
    """What is missing before a run: reachability, TLS, version, privileges, storages, bridge, image, local tools, charts."""
    session = Session.open(environment, ready=not print_setup)
    if print_setup:
        click.echo(checks.print_setup(session.environment))
        return
    findings = checks.check(session.client, session.environment, session.cluster.machines, session.project)
    if session.environment.source == "operator":
        with console.status("asking the charts' repositories"):
            pinned = [c.chart for c in session.workloads.components if c.chart]
            findings += charts.findings(pinned)
    show_findings(findings)
    failed = sum(1 for finding in findings if finding.state == "fail")
    if failed:
        raise RzpError(f"{environment}: {failed} finding(s) to mend first (above)")
