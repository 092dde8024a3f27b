"""The kubeconfig of the control side, made from a server's own. Its first line says what it was made from."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from deploys.settings import Settings


def rewritten(settings: Settings, text: str) -> str:
    """The server's file with an address that answers from outside, and our context's name in all four places."""
    document: dict[str, Any] = yaml.safe_load(text)
    name = settings.context
    cluster = document["clusters"][0]["cluster"] | {"server": settings.url(settings.first_server)}
    document["clusters"] = [{"name": name, "cluster": cluster}]
    document["users"] = [{"name": name, "user": document["users"][0]["user"]}]
    document["contexts"] = [{"name": name, "context": {"cluster": name, "user": name}}]
    document["current-context"] = name
    body = yaml.safe_dump(document, sort_keys=False)
    return f"{_heading(settings, hashlib.sha256(text.encode()).hexdigest(), body)}\n{body}"


def _heading(settings: Settings, source: str, body: str) -> str:
    made = hashlib.sha256(body.encode()).hexdigest()
    return f"# rzp-infra {settings.context} {settings.url(settings.first_server)} from {source} as {made}"


def is_current(target: Path, settings: Settings, source: str) -> bool:
    """Made from the file with this checksum, for this address and context, and untouched since."""
    try:
        heading, _, body = target.read_text().partition("\n")
        private = stat.S_IMODE(target.stat().st_mode) == 0o600
    except OSError:
        return False
    return private and heading == _heading(settings, source, body)


def write(target: Path, settings: Settings, text: str) -> None:
    """Created 0600 before there is content, then renamed into place."""
    new = target.with_name(f".{target.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(rewritten(settings, text))
    new.replace(target)
