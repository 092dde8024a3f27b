"""Who may log in to the machines."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import field_validator

from bootstrap.config.model import Hostname, Model
from bootstrap.errors import InvalidEnvironment


class Access(Model):
    """Who may log in to the machines."""

    user: Hostname = "rzp"
    """The user of every machine, with sudo. Only at creation: later `--replace NAME`, or by hand in the
    guest."""
    ssh_keys: tuple[str, ...] = ()
    """Public keys that may log in, as in ~/.ssh/id_ed25519.pub. Only at creation: later `--replace NAME`, or
    by hand in the guest."""
    key_file: str | None = None
    """Private key that pyinfra logs in with, relative to the project; its .pub may log in, too. None: the
    SSH agent and ~/.ssh/config serve."""

    def public_keys(self, project: Path) -> tuple[str, ...]:
        """The keys that may log in: `ssh_keys`, and the public half beside `key_file` (relative to the project)."""
        if self.key_file is None:
            return self.ssh_keys
        public = project / Path(f"{self.key_file}.pub").expanduser()
        if not public.exists():
            raise InvalidEnvironment(
                [f"access.key_file: {public} does not exist; make it with ssh-keygen -t ed25519"]
            )
        return (*self.ssh_keys, public.read_text().strip())

    @field_validator("ssh_keys")
    @classmethod
    def _public(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if not re.match(r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]{40,}( .*)?$", key):
                raise ValueError(
                    f"{key[:30]!r} is no public SSH key; paste the line of ~/.ssh/id_ed25519.pub"
                )
        return value
