"""rzp-bootstrap lab fault: bad days on demand. The rules are explained in bootstrap/lab/faults.py."""

from __future__ import annotations

import json
from typing import Any

import click

from bootstrap.config.demo import lab_folder
from bootstrap.errors import LabError


@click.group()
def fault() -> None:
    """Make requests of the lab's API go wrong: delays, lost answers, failing tasks, full storages, nodes that are off."""


@fault.command()
@click.argument("method")
@click.argument("path")
@click.argument("kind")
@click.option("--skip", default=0, help="Let the first N requests pass.")
@click.option("--count", default=0, help="How many requests meet it; 0: all.")
@click.option("--seconds", default=0.0, help="How long a delay is.")
@click.option("--status", default=500, help="The answer of kind status: 500, 595, 596.")
@click.option("--text", default="", help="The reason, the task's error, or the lock.")
@click.option("--after", is_flag=True, help="What was asked for happens all the same.")
@click.option("--step", default=0, help="The line of its log at which a task fails.")
@click.option("--probability", default=1.0, help="The share of the requests that meet it.")
@click.option("--seed", default=0, help="What the share is drawn from.")
def add(**values: Any) -> None:
    """KIND happens to requests of METHOD (* for all) for PATH, like: add POST '/nodes/*/qemu' drop-after --count 1.

    Kinds: delay drop-before drop-after status task-fail storage-full locked busy never-boots,
    and node-down, whose path is /nodes/NAME.
    """
    from bootstrap.lab import faults

    if not (lab_folder() / "plan.json").exists():
        raise LabError("there is no lab; start it first: rzp-bootstrap lab start")
    rules = faults.write(lab_folder(), [*faults.read(lab_folder()), faults.FaultRule(**values)])
    click.echo(f"fault {rules[-1].id} is set")


@fault.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(*, as_json: bool) -> None:
    """The rules that are set."""
    from bootstrap.lab import faults

    rules = faults.read(lab_folder())
    if as_json:
        click.echo(json.dumps([rule.shown() for rule in rules], indent=2))
        return
    for rule in rules:
        told = {
            key: value for key, value in rule.shown().items() if key not in ("id", "method", "path", "kind")
        }
        words = " ".join(f"{key}={value}" for key, value in told.items())
        click.echo(f"{rule.id}  {rule.method} {rule.path} {rule.kind} {words}".rstrip())
    if not rules:
        click.echo("no faults are set")


@fault.command()
def clear() -> None:
    """Everything works again."""
    from bootstrap.lab import faults

    faults.clear(lab_folder())
    click.echo("no faults are set")
