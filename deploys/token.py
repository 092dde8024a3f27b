"""The cluster's token: its two forms, and the format that K3s cannot live with."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pyinfra.api.exceptions import DeployError

from bootstrap.secrets import Secret, Secrets
from deploys import paths
from deploys.wanted import File

_BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_SHORTEST = 16
"""Characters; the checksum of the token's file is compared, and that of a short token could be guessed back."""


class SecretError(DeployError):
    """A secret is missing, cannot be read or cannot be used; one line with the fix."""


@cache
def open_secrets(environment: str, project: Path) -> Secrets:
    """Once per run: every host asks."""
    return Secrets.open(environment, project)


def secret(environment: str, name: str) -> Secret:
    """A secret that must be there."""
    try:
        return open_secrets(environment, Path.cwd()).require(name)
    except Exception as error:  # noqa: BLE001 - bootstrap's errors are not ours to import; each is one line
        raise SecretError(str(error)) from None


def k3s_token(environment: str) -> Secret:
    """`k3s.token`, refused where K3s would break on it."""
    token = secret(environment, "k3s.token")
    if fault := fault_of(token.reveal()):
        raise SecretError(
            f"{environment}: secret k3s.token {fault}; before the first deploy set another one:"
            f" rzp-bootstrap secrets set {environment} k3s.token"
        )
    return token


def fault_of(token: str) -> str | None:
    """What is wrong with a server token, without saying it."""
    if _BOOTSTRAP.fullmatch(token):
        return "has the format of a bootstrap token (abcdef.0123456789abcdef), which breaks a cluster"
    if token.startswith("K10") or ":" in token:
        return "must be the password alone, without K10…:: and without a colon"
    if len(token) < _SHORTEST or token.split() != [token]:
        return f"must be at least {_SHORTEST} characters without blanks"
    return None


def short(token: Secret) -> File:
    """For the first start of the first server: there is no CA yet that could be pinned."""
    return _file(token.reveal())


def pinned(token: Secret, ca_sha256: str) -> File:
    """For whoever joins: only the cluster with this CA (sha256 of its PEM file) is believed."""
    return _file(f"K10{ca_sha256}::server:{token.reveal()}")


def _file(text: str) -> File:
    return File(paths.K3S_TOKEN, f"{text}\n", mode=0o600, secret=True)
