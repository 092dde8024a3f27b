"""rzp-bootstrap destroy: delete every machine of an environment, loudly."""

from __future__ import annotations

import click

from bootstrap import plan as plans
from bootstrap.cli import steps
from bootstrap.cli.render import console, show_plan
from bootstrap.cli.session import Session


@click.command()
@click.argument("environment", metavar="ENV")
@click.option("--confirm-destroy", metavar="ENV", help="Answers the question, for scripts.")
def destroy(environment: str, confirm_destroy: str | None) -> None:
    """Delete every machine of ENV, with its disks and seeds; asks for the environment's name.

    What is not ours is never touched. PVE's protection is honoured: lift it first.
    """
    session = Session.open(environment)
    observed = steps.read(session)
    plan = plans.destroy(environment, observed)
    show_plan(plan)
    if not plan.changes:
        return
    steps.ask(plan, yes=True, confirmed=confirm_destroy)
    steps.carry_out(session, plan, wait=True)
    console.print(f"{environment}: destroyed. Secrets and inventory are still there.", markup=False)
