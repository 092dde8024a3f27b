"""Who may log in to the machines."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import field_validator

from bootstrap.config.model import Hostname, Model
from bootstrap.errors import InvalidEnvironment


class Access(Model):
    """Who may log in. `key_file` is the private key for pyinfra; without it the SSH agent and ~/.ssh/config serve."""

    user: Hostname = "rzp"
    ssh_keys: tuple[str, ...] = ()
    key_file: str | None = None

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
