"""Published files: where they are fetched from, and how only the pinned bytes take a place."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pyinfra.api.command import FileUploadCommand
from pyinfra.api.exceptions import DeployError

from deploys.running import failure, limited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyinfra.api.command import PyinfraCommand, StringCommand

    from deploys.settings import Published

FETCH_SECONDS = 900


class WrongFileError(DeployError):
    """A local file that was given instead of the download is not the pinned one."""


def source(pin: Published, mirror: str) -> str:
    """The pinned URL, or the same file below the base URL in the environment variable `mirror`: BASE/VERSION/FILE."""
    base = os.environ.get(mirror)
    return (
        f"{base.rstrip('/')}/{quote(pin.version, safe='')}/{pin.url.rsplit('/', 1)[-1]}" if base else pin.url
    )


def local_file(pin: Published, variable: str) -> Path | None:
    """The file that the environment variable names, if it is the pinned one."""
    if not (named := os.environ.get(variable)):
        return None
    path = Path(named).expanduser()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WrongFileError(
            f"{variable}: {path} cannot be read ({error.strerror}); name the file or unset it"
        ) from None
    if digest != pin.sha256:
        raise WrongFileError(
            f"{variable}: {path} has the sha256 {digest}, but {pin.version} is pinned as {pin.sha256}; nothing was sent"
        )
    return path


def placed(pin: Published, target: str, mode: int, *, mirror: str, local: str) -> Iterator[PyinfraCommand]:
    """Bring the file to `target`: to a temporary name, verified there, then moved. A wrong one leaves `target` alone."""
    new = f"{target}.rzp-new"
    try:
        given = local_file(pin, local)
    except WrongFileError as error:
        yield failure(str(error))
        return
    if given:
        yield FileUploadCommand(str(given), new)
        yield _take(new, target, pin, mode, origin=str(given), fetch="")
    else:
        url = source(pin, mirror)
        curl = f"curl -fsSL --retry 3 --connect-timeout 15 -o {shlex.quote(new)} {shlex.quote(url)}"
        yield _take(
            new, target, pin, mode, origin=url, fetch=f"{curl} || {{ rm -f {shlex.quote(new)}; exit 1; }}\n"
        )


def _take(new: str, target: str, pin: Published, mode: int, *, origin: str, fetch: str) -> StringCommand:
    place, temporary = shlex.quote(target), shlex.quote(new)
    wrong = shlex.quote(
        f"{origin}: sha256 differs from the pinned {pin.sha256}; {target} is as it was. Found:"
    )
    script = f"""umask 077; mkdir -p "$(dirname {place})"
{fetch}found=$(sha256sum < {temporary} | cut -d' ' -f1)
if [ "$found" != {pin.sha256} ]; then rm -f {temporary}; echo {wrong} "$found" >&2; exit 1; fi
chmod {mode:o} {temporary} && chown root:root {temporary} && mv -f {temporary} {place}"""
    return limited(script, FETCH_SECONDS)
