"""rzp-bootstrap: the command line. The only package that knows click and rich; errors become one line and exit 1."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from bootstrap.cli.destroy import destroy
from bootstrap.cli.environment import doctor, inventory, output, plan, up
from bootstrap.cli.lab import lab
from bootstrap.cli.secrets import secrets
from bootstrap.cli.status import status
from bootstrap.config import names
from bootstrap.errors import RzpError, TaskFailed


class Verbs(click.Group):
    """`rzp-bootstrap ENV` is short for `rzp-bootstrap up ENV`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = _general_first(args)
        position = _first_word(args, self)
        if position is not None and args[position] in names():
            args = [*args[:position], "up", *args[position:]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            raise click.UsageError(
                f"{args[0]!r} is neither a verb ({', '.join(sorted(self.commands))}) nor an environment ({', '.join(names())})"
            )
        return super().resolve_command(ctx, args)


def _general_first(args: list[str]) -> list[str]:
    """--debug and --project may stand anywhere before `--`; what follows `lab` keeps its own order."""
    end = next((i for i, arg in enumerate(args) if arg in ("--", "lab")), len(args))
    general: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--debug":
            general.append(word)
        elif word == "--project":
            general += [word, *([value] if (value := next(words, None)) else [])]
        else:
            rest.append(word)
    return [*general, *rest, *args[end:]]


def _first_word(args: list[str], group: click.Group) -> int | None:
    """Where the first word stands that is no option and no option's value."""
    takes_value = {
        opt for p in group.params if isinstance(p, click.Option) and not p.is_flag for opt in p.opts
    }
    skip = False
    for index, arg in enumerate(args):
        if skip:
            skip = False
        elif arg in takes_value:
            skip = True
        elif not arg.startswith("-"):
            return index
    return None


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done or nothing to do; 2 (plan, --dry-run) there are changes; 1 an error, in one line.",
)
@click.option(
    "--project", metavar="DIR", help="The checkout to work on (default: RZP_PROJECT, else upwards from here)."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="rzp-infra")
@click.pass_context
def cli(ctx: click.Context, project: str | None, debug: bool) -> None:
    """Typed environments to Proxmox VMs and a pyinfra inventory.

    \b
    rzp-bootstrap staging            plan, confirm, apply, write inventories/staging.py
    rzp-bootstrap staging --dry-run  the plan alone
    rzp-bootstrap VERB ENV           any other verb
    """  # noqa: D301 - click's mark for a block that is not wrapped
    ctx.obj = {"project": project, "debug": debug}


for command in (up, plan, status, output, inventory, destroy, doctor, secrets, lab):
    cli.add_command(command)


def main() -> None:
    """Entry point: translates errors once. Usage errors exit 1 too, because 2 means "changes"."""
    debug = "--debug" in sys.argv
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.secho(
            "Stopped. Nothing is lost: the same command goes on where this one ended.", fg="red", err=True
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # a thread that waits for an answer of Proxmox would keep the process for up to a minute
    except click.ClickException as error:
        error.show()
        code = 1
    except RzpError as error:
        if debug:
            traceback.print_exc()
        click.secho(f"Error: {error}", fg="red", err=True)
        if isinstance(error, TaskFailed) and error.log:
            click.echo("\n".join(f"  {line}" for line in error.log[-10:]), err=True)
        code = 1
    except OSError as error:
        if debug:
            traceback.print_exc()
        place = f"{error.filename}: " if error.filename else ""
        click.secho(f"Error: {place}{error.strerror or error}", fg="red", err=True)
        code = 1
    except Exception as error:  # noqa: BLE001 - the last resort: still one line, and the way to more
        if debug:
            traceback.print_exc()
        name = type(error).__name__
        click.secho(
            f"Error: unexpected {name}: {error}; --debug shows where, please report it", fg="red", err=True
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
