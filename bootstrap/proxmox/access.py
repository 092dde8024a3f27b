"""Access: where the API is, how its certificate is trusted, and who we are there.

From the environment and its secrets (`proxmox.token`, else `proxmox.password`), overridden by RZP_PROXMOX_URL,
RZP_PROXMOX_TOKEN (`user@realm!id=secret`, or the secret alone) and RZP_PROXMOX_FINGERPRINT.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.config.proxmox import Proxmox
from bootstrap.errors import InvalidEnvironment
from bootstrap.secrets import Secret, Secrets

_FULL_TOKEN = re.compile(r"^(?P<user>[^@!=\s]+@[^!=\s]+)!(?P<name>[^!=\s]+)=(?P<secret>\S+)$")
_SENDABLE = re.compile(r"^[!-~]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`token_name` None: `secret` is a password. Without fingerprint and CA file the system's CAs are trusted."""

    environment: str
    endpoints: tuple[str, ...]
    user: str
    token_name: str | None
    secret: Secret
    fingerprint: str | None = None
    ca_file: Path | None = None

    @property
    def identity(self) -> str:
        """Whom Proxmox names as the author of our tasks."""
        return f"{self.user}!{self.token_name}" if self.token_name else self.user

    @property
    def trust(self) -> str:
        """What the server's certificate is checked against, in words."""
        if self.fingerprint:
            return "the SHA-256 fingerprint"
        return f"the CA in {self.ca_file}" if self.ca_file else "the system's CAs"


def access(
    proxmox: Proxmox, secrets: Secrets, project: Path, variables: Mapping[str, str] = os.environ
) -> Access:
    """Work it out; the secret is read only when no variable gives it. `project`: a relative `ca_file` starts there."""
    if url := variables.get("RZP_PROXMOX_URL"):
        proxmox = _override(proxmox, "RZP_PROXMOX_URL", url, endpoints=(url.rstrip("/"),))
    if pin := variables.get("RZP_PROXMOX_FINGERPRINT"):
        proxmox = _override(proxmox, "RZP_PROXMOX_FINGERPRINT", pin, fingerprint=pin, ca_file=None)
    ca_file = project / proxmox.ca_file if proxmox.ca_file else None
    if ca_file is not None and not ca_file.is_file():
        raise InvalidEnvironment(
            [f"proxmox.ca_file {ca_file} does not exist; copy /etc/pve/pve-root-ca.pem of a node to there"]
        )
    user, token_name, secret = _credential(proxmox, secrets, variables)
    return Access(
        environment=secrets.environment,
        endpoints=proxmox.endpoints,
        user=user,
        token_name=token_name,
        secret=secret,
        fingerprint=proxmox.fingerprint,
        ca_file=ca_file,
    )


def _override(proxmox: Proxmox, variable: str, value: str, **fields: object) -> Proxmox:
    try:
        return Proxmox.model_validate({**proxmox.model_dump(), **fields})
    except ValueError:
        shape = (
            "https://ADDRESS:8006" if "endpoints" in fields else "32 pairs AB:CD:…, the certificate's SHA-256"
        )
        raise InvalidEnvironment([f"{variable}: {value!r} cannot be used; write {shape}"]) from None


def _credential(
    proxmox: Proxmox, secrets: Secrets, variables: Mapping[str, str]
) -> tuple[str, str | None, Secret]:
    given = variables.get("RZP_PROXMOX_TOKEN")
    token = Secret(given) if given else secrets.get("proxmox.token") if proxmox.token_name else None
    if token is None:
        password = secrets.get("proxmox.password")
        if password is None and proxmox.token_name is not None:
            return proxmox.user, proxmox.token_name, secrets.require("proxmox.token")
        return proxmox.user, None, password or secrets.require("proxmox.password")
    place = "RZP_PROXMOX_TOKEN" if given else "secret proxmox.token"
    token = Secret(token.reveal().strip())
    if not _SENDABLE.match(token.reveal()):  # the HTTP library would print it in its complaint
        raise InvalidEnvironment(
            [f"{place}: it holds a space or a character that no token has; set it again"]
        )
    if full := _FULL_TOKEN.match(token.reveal()):
        return full["user"], full["name"], Secret(full["secret"])
    if proxmox.token_name is None:
        raise InvalidEnvironment(
            [
                "RZP_PROXMOX_TOKEN: the environment names no token (proxmox.token_name); write user@realm!id=secret"
            ]
        )
    return proxmox.user, proxmox.token_name, token
