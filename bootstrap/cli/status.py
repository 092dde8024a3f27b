"""rzp-bootstrap status: the machines, the K3s nodes and Argo CD's applications, whatever of them can be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click
from rich.table import Table
from rich.text import Text

from bootstrap import output
from bootstrap import status as states
from bootstrap.cli import steps
from bootstrap.cli.lab import outside
from bootstrap.cli.render import console
from bootstrap.cli.session import Session
from bootstrap.errors import RzpError
from bootstrap.kubernetes.api import Api
from bootstrap.kubernetes.applications import Application
from bootstrap.kubernetes.kubeconfig import Kubeconfig
from bootstrap.status import Status

_COLOURS = {
    **dict.fromkeys(("running", "Ready", "Healthy"), "green"),
    **dict.fromkeys(("stopped", "unfinished", "Progressing"), "yellow"),
}
_WIDTH = 240  # of a reason; --json has all of it


@click.command()
@click.argument("environment", metavar="ENV")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with whole messages.")
def status(environment: str, as_json: bool) -> None:
    """Machines, K3s nodes and Argo CD applications, as Proxmox and the Kubernetes API show them.

    Exit 0 when all was read, however it is (--json tells), and when there is no cluster or no Argo CD yet. Exit 1 when
    Proxmox or the Kubernetes API could not be asked; what the other one says is shown all the same.
    """
    session = Session.open(environment)
    found = _machines(session)
    _cluster(session, found)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        show(found)
    if found.problems:
        raise RzpError(f"{environment}: {len(found.problems)} part(s) could not be asked (above)")


def _machines(session: Session) -> Status:
    """What Proxmox says; where it says nothing, the cluster can still be asked."""
    left_out = session.workloads.left_out
    try:
        rows = states.rows(session.environment.name, session.cluster.machines, steps.read(session))
    except RzpError as error:
        return Status(
            machines=states.unknown(session.cluster.machines), left_out=left_out, problems=[str(error)]
        )
    return Status(machines=rows, left_out=left_out)


def _cluster(session: Session, found: Status) -> None:
    """What the Kubernetes API says, if there can be one."""
    name = session.environment.name
    path = session.project / "inventories" / f"{name}.kubeconfig"
    if not path.exists():
        found.notes.append(
            f"no {path.relative_to(session.project)} yet; it comes with: pyinfra inventories/{name}.py deploys/k3s.py"
        )
    elif found.servers_off:
        found.notes.append("no server is on, so the Kubernetes API was not asked")
    elif why := outside(name, f"status {name}"):
        found.problems.append(why)
    else:
        try:
            api = Api(Kubeconfig.read(path), output.api_endpoints(session.cluster))
        except RzpError as error:
            found.problems.append(str(error))
        else:
            found.ask(api, session.environment.k3s.pin.version)


def show(found: Status) -> None:
    """A table for each kind with its reasons below it, and a sentence for each kind that there is no table of."""
    table = _table("machine", "role", "VMID", "node", "address", "state")
    for row in found.machines:
        _add(table, row.state, row.name, row.role, str(row.vmid), row.node, row.address, row.state)
    _print(table, {row.name: row.detail for row in found.machines})
    if found.nodes is not None:
        table = _table("K3s node", "role", "state", "version")
        for node in found.nodes:
            _add(table, node.state, node.name, node.role, node.state, node.version)
        _print(table, {node.name: node.detail for node in found.nodes})
    if found.applications is not None:
        table = _table("application", "project", "sync", "health")
        for one in found.applications:
            _add(table, _of_both(one), one.name, one.project, one.sync, one.health)
        _print(table, {one.name: one.detail for one in found.applications})
    _sentences("- left out:", found.left_out, "yellow")
    _sentences("i", found.notes, "cyan")
    _sentences("x", found.problems, "bold red")


def _of_both(one: Application) -> str:
    """Never by health alone: what cannot be rendered reads Healthy, with sync Unknown."""
    if one.sync == "Unknown":
        return one.sync
    return "Progressing" if (one.sync, one.health) == ("OutOfSync", "Healthy") else one.health


def _table(*titles: str) -> Table:
    return Table(*titles, box=None, padding=(0, 2, 0, 0))


def _add(table: Table, state: str, *cells: str) -> None:
    table.add_row(*map(Text, cells), style=_COLOURS.get(state, "red"))


def _print(table: Table, details: Mapping[str, str]) -> None:
    """In a column of the table a long reason would be a tower of single words."""
    console.print(table)
    _sentences("!", [f"{name}: {_shortened(text)}" for name, text in details.items() if text], "magenta")
    console.print()


def _sentences(sign: str, texts: Sequence[str], colour: str) -> None:
    for text in texts:
        console.print(f"  {sign} {text}", style=colour, markup=False)


def _shortened(text: str) -> str:
    """The middle goes: what failed stands in front, why it failed at the end."""
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 3]} … {text[-_WIDTH * 2 // 3 :]}"
