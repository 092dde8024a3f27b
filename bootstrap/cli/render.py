"""How plans, progress and summaries look. A terminal gets colours and a live table, anything else a line per change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.live import Live as LiveView
from rich.table import Table
from rich.text import Text

from bootstrap.apply import Event, Result
from bootstrap.change import (
    ONLY_BY_REPLACEMENT,
    Create,
    Delete,
    Differs,
    DropSeed,
    FetchImage,
    Finish,
    Reboot,
    Start,
    Update,
)
from bootstrap.doctor import Finding
from bootstrap.errors import ImpossiblePlan, TaskFailed
from bootstrap.plan import Plan

console = Console(highlight=False, soft_wrap=True)
_SIGNS: dict[type, tuple[str, str]] = {
    FetchImage: ("+", "green"),
    Create: ("+", "green"),
    Finish: ("~", "yellow"),
    Start: ("~", "yellow"),
    Update: ("~", "yellow"),
    Reboot: ("~", "yellow"),
    Differs: ("!", "magenta"),
    Delete: ("-", "red"),
    DropSeed: ("-", "red"),
}


def show_plan(plan: Plan) -> None:
    """The plan, a line per change, and a sum."""
    for change in plan.changes:
        sign, colour = _SIGNS[type(change)]
        console.print(f"  {sign} {change}", style=colour, markup=False)
    for note in plan.notes:
        console.print(f"  i {note}", style="cyan", markup=False)
    for unjudged in plan.unjudged:
        console.print(f"  ? {unjudged}", style="bold red", markup=False)
    for conflict in plan.conflicts:
        console.print(f"  x {conflict}", style="bold red", markup=False)
    if not (plan.changes or plan.conflicts or plan.unjudged):
        console.print(
            f"{plan.environment}: no changes; Proxmox holds what the environment asks for.", markup=False
        )
        return
    counts = ", ".join(
        f"{count} to {verb}"
        for verb in ("fetch", "create", "change", "finish", "start", "reboot", "delete", "drop")
        if (count := _count(plan, verb))
    )
    different = f"; {len(plan.differences)} differ" if plan.differences else ""
    console.print(f"{plan.environment}: {counts or 'nothing to apply'}{different}.", markup=False)


def show_rest(plan: Plan) -> None:
    """After a run: what it could not put right, which is an error; what waits for a reboot; and the next command."""
    name = plan.environment
    if plan.unjudged:
        raise ImpossiblePlan(f"{name}: {len(plan.unjudged)} machine(s) could not be looked at (above)")
    if plan.differences:
        raise ImpossiblePlan(
            f"{name}: {len(plan.differences)} machine(s) differ in what can be changed {ONLY_BY_REPLACEMENT} (above)"
        )
    rebooted = {change.machine.name for change in plan.changes if isinstance(change, Reboot)}
    if left := [machine for machine in plan.left_waiting if machine not in rebooted]:
        said = f"{', '.join(left)}: changed, and a part waits for a reboot: rzp-bootstrap {name} --reboot"
        console.print(said, style="yellow", markup=False)
    console.print(f"Next: pyinfra inventories/{name}.py deploys/k3s.py", style="bold", markup=False)


def _count(plan: Plan, verb: str) -> int:
    return sum(1 for change in plan.changes if change.verb == verb)


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a reporter for events; live on a terminal."""
    view = Progress()
    if not console.is_terminal:
        yield view
        return
    with LiveView(console=console, get_renderable=view.table, refresh_per_second=4, transient=False):
        yield view


class Progress:
    """The newest event per machine. Threads report into it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[str, tuple[Event, float]] = {}
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._rows[event.subject] = (event, time.monotonic())
        if not console.is_terminal:
            console.print(
                f"[{time.monotonic() - self._started:6.1f}s] {event.subject}: {event.state}", markup=False
            )

    def table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        now = time.monotonic()
        with self._lock:
            for subject, (event, since) in self._rows.items():
                age = "" if event.done else f"{now - since:.0f}s"
                table.add_row(Text(subject), Text(event.state), age, style=_colour(event))
        return table


def _colour(event: Event) -> str:
    if event.failed:
        return "red"
    return "green" if event.done else "yellow"


def show_failures(result: Result) -> None:
    """Every failed part with its reason."""
    for subject, error in result.failures.items():
        console.print(f"  x {subject}: {error}", style="bold red", markup=False)
        if isinstance(error, TaskFailed):
            for line in error.log[-10:]:
                console.print(f"      {line}", style="red", markup=False)


def show_findings(findings: list[Finding]) -> None:
    """What doctor found, each with its fix."""
    signs = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("x", "bold red")}
    for finding in findings:
        sign, colour = signs[finding.state]
        console.print(f"  {sign} {finding.place}: {finding.text}", style=colour, markup=False)
        if finding.fix:
            console.print(f"      {finding.fix}", markup=False)
