"""Secrets of an environment: age-encrypted in inventories/secrets/ENV.age, or in environment variables.

A name such as `proxmox.token` is overridden by `RZP_SECRET_PROXMOX_TOKEN`. The file is readable by every recipient in
inventories/secrets/recipients (one `age1…` or `ssh-ed25519 …` a line). The identity that opens it: the file named by
`RZP_AGE_IDENTITY`, else inventories/ENV.identity where an environment has one of its own (the demo does), else
~/.config/rzp-infra/identity.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from bootstrap.errors import SecretsError

_NAME = re.compile(r"^[a-z0-9]+([.-][a-z0-9]+)*$")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that prints as stars; `reveal` hands it out."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


def variable(name: str) -> str:
    """The environment variable that overrides a secret: `proxmox.token` → `RZP_SECRET_PROXMOX_TOKEN`."""
    return "RZP_SECRET_" + re.sub(r"[.-]", "_", name).upper()


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment: created 0600, renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    temporary.replace(path)


class Secrets:
    """The secrets of one environment. Reading never writes; the first `set` makes what is missing."""

    def __init__(self, environment: str, project: Path) -> None:
        self.environment = environment
        self.file = project / "inventories" / "secrets" / f"{environment}.age"
        self.recipients_file = project / "inventories" / "secrets" / "recipients"
        self._own_identity = project / "inventories" / f"{environment}.identity"
        self._values: dict[str, str] | None = None

    @classmethod
    def open(cls, environment: str, project: Path) -> Secrets:
        return cls(environment, project)

    @property
    def identity_file(self) -> Path:
        named = os.environ.get("RZP_AGE_IDENTITY")
        if named:
            return Path(named).expanduser()
        if self._own_identity.exists():
            return self._own_identity
        home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        return Path(home).expanduser() / "rzp-infra" / "identity"

    def get(self, name: str) -> Secret | None:
        override = os.environ.get(variable(_checked(name)))
        if override:
            return Secret(override)
        value = self._load().get(name)
        return None if value is None else Secret(value)

    def require(self, name: str) -> Secret:
        found = self.get(name)
        if found is None:
            raise SecretsError(
                f"{self.environment}: secret {name} is not set; type: rzp-bootstrap secrets set {self.environment} {name}"
                f" (or export {variable(name)})"
            )
        return found

    def names(self) -> list[str]:
        return sorted(self._load())

    def set(self, values: dict[str, str]) -> None:
        """Add or replace values; makes the identity and the recipients file when there is none yet."""
        for name in values:
            _checked(name)
        merged = {**self._load(), **values}
        self._write(merged)

    def rekey(self) -> list[str]:
        """Encrypt the file anew for the recipients that are listed now; returns them."""
        if not self.file.exists():
            raise SecretsError(
                f"{self.file}: there are no secrets of {self.environment} yet; nothing to rekey"
            )
        self._write(self._load())
        return self._recipients()

    def _load(self) -> dict[str, str]:
        if self._values is None:
            self._values = self._decrypt() if self.file.exists() else {}
        return self._values

    def _decrypt(self) -> dict[str, str]:
        path = self.identity_file
        fix = (
            f"put an identity that is among {self.recipients_file} there, or name its file in RZP_AGE_IDENTITY,"
            f" or ask a recipient to add yours and run: rzp-bootstrap secrets rekey {self.environment}"
        )
        if not path.exists():
            raise SecretsError(f"{path}: no age identity, so {self.file.name} cannot be read; {fix}")
        try:
            return dict(json.loads(pyrage.decrypt(self.file.read_bytes(), [_identity(path)])))
        except pyrage.DecryptError as error:
            raise SecretsError(
                f"{path}: this identity cannot open {self.file.name} ({error}); {fix}"
            ) from None
        except ValueError as error:
            raise SecretsError(f"{self.file}: not a secrets file ({error}); restore it from git") from None

    def _write(self, values: dict[str, str]) -> None:
        self._make_identity()
        self._check_own_access()
        text = json.dumps(values, indent=0, sort_keys=True).encode()
        recipients = [_recipient(line, self.recipients_file) for line in self._recipients()]
        write_private(self.file, pyrage.encrypt(text, recipients, armored=True).decode())
        self._values = values

    def _recipients(self) -> list[str]:
        if self.identity_file == self._own_identity:
            return [_public(self._own_identity)]
        if not self.recipients_file.exists():
            return []
        lines = (line.split("#")[0].strip() for line in self.recipients_file.read_text().splitlines())
        return [line for line in lines if line]

    def _check_own_access(self) -> None:
        """Nobody encrypts what they cannot read again. An SSH identity's public half is not known here."""
        path = self.identity_file
        if isinstance(identity := _identity(path), pyrage.x25519.Identity):
            own = str(identity.to_public())
            if own not in self._recipients():
                raise SecretsError(
                    f"{self.recipients_file}: your own recipient {own} is missing; add it, then try again"
                )

    def _make_identity(self) -> None:
        path = self.identity_file
        if not path.exists():
            if os.environ.get("RZP_AGE_IDENTITY"):
                raise SecretsError(
                    f"RZP_AGE_IDENTITY: {path} does not exist; make it with age-keygen or unset the variable"
                )
            write_private(path, f"{pyrage.x25519.Identity.generate()}\n")
        if path != self._own_identity and not self._recipients():
            self.recipients_file.parent.mkdir(parents=True, exist_ok=True)
            self.recipients_file.write_text(
                f"# who can read the secrets in this folder, one a line\n{_public(path)}\n"
            )


def make_own_identity(environment: str, project: Path) -> None:
    """Give an environment an identity of its own beside its inventory (the demo: nothing of it is committed)."""
    path = project / "inventories" / f"{environment}.identity"
    if not path.exists():
        write_private(path, f"{pyrage.x25519.Identity.generate()}\n")


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise SecretsError(
            f"{name!r} is no secret's name; use lower-case words joined by dots, as in proxmox.token"
        )
    return name


def _identity(path: Path) -> Any:
    text = path.read_text()
    try:
        if "OPENSSH PRIVATE KEY" in text:
            return pyrage.ssh.Identity.from_buffer(text.encode())
        line = next((line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")), "")
        return pyrage.x25519.Identity.from_str(line.strip())
    except (pyrage.IdentityError, ValueError) as error:
        raise SecretsError(f"{path}: not an age identity ({error}); make one with age-keygen") from None


def _public(path: Path) -> str:
    identity = _identity(path)
    if isinstance(identity, pyrage.x25519.Identity):
        return str(identity.to_public())
    raise SecretsError(
        f"{path}: an SSH key as identity; add its public half to inventories/secrets/recipients yourself"
    )


def _recipient(line: str, place: Path) -> Any:
    try:
        if line.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(line)
        return pyrage.x25519.Recipient.from_str(line)
    except (pyrage.RecipientError, ValueError) as error:
        raise SecretsError(
            f"{place}: {line[:40]!r} is no recipient ({error}); use an age1… or ssh-ed25519 line"
        ) from None
