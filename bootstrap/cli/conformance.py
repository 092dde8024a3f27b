"""rzp-bootstrap lab conformance: how far the lab answers as the real Proxmox VE did in recorded flows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from bootstrap.errors import LabError

VARIABLE = "RZP_PVE_RECORDINGS"


@click.command()
@click.argument("places", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
def conformance(places: tuple[Path, ...], as_json: bool) -> None:
    """Replay recorded flows, each against a fresh lab, and say what is answered otherwise.

    DIR is a folder of flows (or with a folder `flows`), or one flow; without it RZP_PVE_RECORDINGS names it. The last line is
    `served N, matched N, total N`: exchanges on endpoints that the lab has, those of them that match, all. Exit 0 when at least
    95 % of the served ones match, else 1.
    """
    from bootstrap.lab.conformance.report import figures, good_enough, replay_all

    named = os.environ.get(VARIABLE)
    if not places and not named:
        raise LabError(f"no recordings: name their folder, or set {VARIABLE} to it")
    reports = replay_all(
        places or [Path(named or "")],
        lambda report: None if as_json else click.echo("\n".join(report.lines())),
    )
    if as_json:
        click.echo(
            json.dumps(
                {"files": [one.data() for one in reports], "figures": figures(reports)},
                indent=2,
                ensure_ascii=False,
            )
        )
    else:
        click.echo(figures(reports))
    click.get_current_context().exit(0 if good_enough(reports) else 1)
