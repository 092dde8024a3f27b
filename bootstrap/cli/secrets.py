"""rzp-bootstrap secrets: set, get, list, rekey."""

from __future__ import annotations

import sys

import click

from bootstrap import config
from bootstrap.cli.session import find_project
from bootstrap.errors import SecretsError
from bootstrap.secrets import Secrets


@click.group()
def secrets() -> None:
    """Encrypted values of an environment (inventories/secrets/ENV.age).

    A name such as proxmox.token is overridden by RZP_SECRET_PROXMOX_TOKEN. The identity that opens the file:
    RZP_AGE_IDENTITY, else ~/.config/rzp-infra/identity. Who may read: inventories/secrets/recipients.
    """


def _open(environment: str) -> Secrets:
    config.load(environment)
    return Secrets.open(environment, find_project())


@secrets.command("set")
@click.argument("environment", metavar="ENV")
@click.argument("name")
def set_(environment: str, name: str) -> None:
    """Ask for a value (hidden), or read it from standard input, and store it."""
    store = _open(environment)
    if sys.stdin.isatty():
        value = click.prompt(f"{name} of {environment}", hide_input=True, confirmation_prompt=True)
    else:
        value = sys.stdin.read().rstrip("\n")
    if not value:
        raise SecretsError(f"{environment}: {name}: an empty value was given; nothing was stored")
    store.set({name: value})
    click.echo(f"{name} is set in {store.file}")


@secrets.command("get")
@click.argument("environment", metavar="ENV")
@click.argument("name")
def get(environment: str, name: str) -> None:
    """Print one value."""
    click.echo(_open(environment).require(name).reveal())


@secrets.command("list")
@click.argument("environment", metavar="ENV")
def list_(environment: str) -> None:
    """Print the names, never the values."""
    for name in _open(environment).names():
        click.echo(name)


@secrets.command("rekey")
@click.argument("environment", metavar="ENV")
def rekey(environment: str) -> None:
    """Encrypt anew for the recipients listed now. Who was removed still has the old file's values: change those too."""
    recipients = _open(environment).rekey()
    click.echo(f"{environment}: encrypted for {len(recipients)} recipient(s)")
