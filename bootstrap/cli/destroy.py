"""rzp-bootstrap destroy: delete every machine of an environment, loudly."""

from __future__ import annotations

import click

from bootstrap import plan as plans
from bootstrap import runlock
from bootstrap.cli import steps
from bootstrap.cli.render import console, show_plan
from bootstrap.cli.session import Session
from bootstrap.errors import ImpossiblePlan
from bootstrap.plan import Plan


@click.command()
@click.argument("environment", metavar="ENV")
@click.option("--confirm-destroy", metavar="ENV", help="Answers the question, for scripts.")
def destroy(environment: str, confirm_destroy: str | None) -> None:
    """Delete every machine of ENV, with its disks and seeds; asks for the environment's name.

    What is not ours is never touched, a disk that the environment does not know stops it. PVE's protection is honoured:
    lift it first.
    """
    session = Session.open(environment)
    with runlock.held(environment):
        steps.settle(session)
        plan = _plan(session)
        show_plan(plan)
        if plan.conflicts:
            raise ImpossiblePlan(
                f"{environment}: {len(plan.conflicts)} disk(s) would die (above); nothing was changed"
            )
        if not plan.changes and not plan.unjudged:
            return
        steps.ask(plan, yes=True, confirmed=confirm_destroy)
        with steps.recorded(session, plan, "destroy"):
            steps.carry_out(session, plan, wait=True)
        after = _plan(session)
        if left := [*map(str, after.changes), *after.unjudged]:
            raise ImpossiblePlan(
                f"{environment}: Proxmox still lists what was to go ({'; '.join(left)}); run the command again"
            )
    console.print(
        f"{environment}: destroyed; Proxmox lists none of its machines and seeds. Secrets and inventory are still there.",
        markup=False,
    )


def _plan(session: Session) -> Plan:
    return plans.destroy(session.environment.name, steps.read(session), session.cluster.machines)
