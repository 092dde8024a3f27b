"""rzp-bootstrap lab: the embedded Proxmox-VE-compatible lab. The lab itself is imported only when one of these runs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click

from bootstrap import config
from bootstrap.cli.conformance import conformance
from bootstrap.cli.fault import fault
from bootstrap.cli.render import console
from bootstrap.cli.session import find_project, running_lab
from bootstrap.config import pins
from bootstrap.config.base import Environment
from bootstrap.config.demo import lab_folder
from bootstrap.errors import LabError
from bootstrap.secrets import Secrets, make_own_identity


@click.group()
def lab() -> None:
    """A Proxmox VE API on loopback with machines that boot (Linux and root), or without machines (anywhere).

    Its state is in RZP_LAB_DIR, else in the user's state folder. Nothing on the host's own network is touched.
    """


lab.add_command(fault)
lab.add_command(conformance)


@lab.command()
@click.option(
    "--for",
    "name",
    default="demo",
    metavar="ENV",
    help="Make the nodes, storages and networks that ENV names.",
)
@click.option(
    "--backend", default="auto", type=click.Choice(["auto", "record", "nspawn"]), help="record: no machines."
)
@click.option(
    "--pve", default="9.2", type=click.Choice(["8.4", "9.2"]), help="The Proxmox VE version to behave like."
)
def start(name: str, backend: str, pve: str) -> None:
    """Start the lab; a running one is left alone."""
    _start(name, backend=backend, pve=pve)
    if name != "demo":
        endpoint = running_lab()
        click.echo(f"To aim {name} at it from here:")
        for variable, value in overrides(endpoint).items():
            shown = f'$(python3 -c \'import json; print(json.load(open("{lab_folder()}/endpoint.json"))["token"])\')'
            click.echo(f"  export {variable}={shown if variable.endswith('TOKEN') else value}")


@lab.command()
def stop() -> None:
    """Stop it with its machines; their disks and the API's state stay."""
    from bootstrap.lab import control

    control.stop(lab_folder(), click.echo)


@lab.command()
def reset() -> None:
    """Stop it and forget everything: VMs, disks, uploads, tokens."""
    from bootstrap.lab import control

    control.reset(lab_folder(), click.echo)


@lab.command()
def status() -> None:
    """Whether it runs, for which environment, with which backend and why."""
    from bootstrap.lab import control, faults

    now = control.status(lab_folder())
    if not now.running:
        click.echo(
            "lab is not running" + (f"; left over: {', '.join(now.leftovers)}" if now.leftovers else "")
        )
        return
    click.echo(f"lab is running for {now.environment} at {now.url} (pid {now.pid})")
    click.echo(f"backend {now.backend}: {now.reason}")
    if set_faults := faults.read(lab_folder()):
        click.echo(f"faults set: {len(set_faults)} (rzp-bootstrap lab fault list)")
    if now.machines:
        click.echo(f"machines on: {', '.join(map(str, now.machines))}")


@lab.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec(command: tuple[str, ...]) -> None:  # noqa: A001 - the verb's name
    """Run COMMAND inside the lab's network: rzp-bootstrap lab exec -- COMMAND."""
    from bootstrap.lab import enter

    _aim()
    enter.execute(lab_folder(), command)


@lab.command()
def shell() -> None:
    """An interactive shell inside the lab's network."""
    from bootstrap.lab import enter

    _aim()
    enter.shell(lab_folder())


@lab.command()
@click.argument("vmid", required=False, type=int)
@click.option("-n", "--lines", default=200, show_default=True, help="How many lines.")
def logs(vmid: int | None, lines: int) -> None:
    """The end of the daemon's log, or of a machine's console."""
    from bootstrap.lab import control

    for line in control.logs(lab_folder(), vmid, lines):
        click.echo(line)


def ensure(environment: str, *, machines: bool) -> None:
    """For the demo: start the lab when none runs, make this checkout know it, and refuse outside its network."""
    if environment != "demo":
        return
    _start("demo", backend="auto", pve="9.2", quiet=True)
    if machines and (why := outside("demo", "demo")):
        raise LabError(why)


def outside(environment: str, command: str) -> str | None:
    """Why the running lab's machines are not reached from here, with the way to do `command`; None when they are."""
    if environment != "demo":
        return None
    from bootstrap.lab import enter

    if not running_lab().get("netns"):
        return "demo: this lab runs without machines (rzp-bootstrap lab status); add --no-wait"
    if not enter.inside(lab_folder()):
        return f"demo: its machines live in the lab's own network; type: rzp-bootstrap lab exec -- rzp-bootstrap {command}"
    return None


def overrides(endpoint: dict[str, Any]) -> dict[str, str]:
    """The variables that aim any environment at the lab."""
    return {
        "RZP_PROXMOX_URL": endpoint["url"],
        "RZP_PROXMOX_TOKEN": f"{endpoint['token_id']}={endpoint['token']}",
        "RZP_PROXMOX_FINGERPRINT": endpoint["fingerprint"],
    }


def _aim() -> None:
    """Inside the lab's network every environment but the demo finds the lab through these variables.

    For the demo the lab has fetched everything; a mirror that is named for elsewhere is out of reach in there.
    """
    import os

    from bootstrap.lab import supply

    endpoint = running_lab()
    if endpoint.get("environment") != "demo":
        os.environ.update(overrides(endpoint))
        return
    for variable in supply.VARIABLES:
        os.environ.pop(variable, None)


def _start(name: str, *, backend: str, pve: str, quiet: bool = False) -> None:
    """`quiet`: say nothing when it runs already."""
    from bootstrap.lab import control

    quiet = quiet and control.status(lab_folder()).running

    project = find_project()
    environment = config.load(name)
    if name == "demo":
        _forget_strangers(project)
        _demo_key(project)
    control.start(
        site_plan(environment, project, pve=pve),
        backend=backend,
        state=lab_folder(),
        report=lambda line: None if quiet else console.print(line, markup=False),
    )
    endpoint = running_lab()
    if name == "demo":
        store = Secrets.open("demo", project)
        held = store.get("proxmox.token")
        if held is None or held.reveal() != endpoint["token"]:
            store.set({"proxmox.token": endpoint["token"]})


def _forget_strangers(project: Path) -> None:
    """A lab that stands still and whose secrets are gone (a checkout made anew) holds machines that nobody can enter."""
    from bootstrap.lab import control

    folder = lab_folder()
    if (folder / "plan.json").exists() and not Secrets.open("demo", project).file.exists():
        if control.status(folder).running:
            return
        console.print("the lab's machines belong to secrets that are gone; it starts empty", markup=False)
        control.reset(folder, lambda _: None)


def site_plan(environment: Environment, project: Path, *, pve: str) -> dict[str, Any]:
    """What the lab has to be so that the environment runs on it, as plain values."""
    proxmox, network = environment.proxmox, environment.network
    shared: dict[str, dict[str, Any]] = {}
    for storage, content in (
        (proxmox.image_storage, "iso,import,vztmpl,backup,snippets"),
        (proxmox.disk_storage, "images,rootdir"),
    ):
        entry = shared.setdefault(storage, {"storage": storage, "type": "dir", "content": "", "shared": 0})
        entry["content"] = ",".join(filter(None, [entry["content"], content]))
    return {
        "environment": environment.name,
        "project": str(project),
        "pve": pve,
        "nodes": list(proxmox.nodes),
        "storages": list(shared.values()),
        "bridge": network.bridge,
        "vlan": network.vlan,
        "ipv4": {"network": str(network.ipv4.network), "gateway": str(network.ipv4.gateway)},
        "ipv6": network.ipv6 and {"network": str(network.ipv6.network), "gateway": str(network.ipv6.gateway)},
        "dns": [str(server) for server in network.dns],
        "pins": {"k3s": pins.K3S.model_dump(), "argocd": pins.ARGOCD.model_dump()},
        "token_id": f"{proxmox.user}!{proxmox.token_name or 'infra'}",
        "image_storage": proxmox.image_storage,
        "image_filename": None if environment.source == "lab" else environment.image.filename,
    }


def _demo_key(project: Path) -> None:
    """The demo's own identity and SSH key pair; both are ignored by git."""
    make_own_identity("demo", project)
    key = project / "inventories" / "demo_ed25519"
    if not key.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rzp-infra demo", "-f", str(key)],
            check=True,
        )
