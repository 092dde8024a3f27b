"""A look at a host's SSH port: does it answer, and with which host key. No login."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
from dataclasses import dataclass
from typing import Protocol

import paramiko

# paramiko reports every port that is not ready yet; without a handler of its own that would reach the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Sighting:
    """`key`: `ssh-ed25519 AAAA…`, None when none was shown; `evidence`: what was seen, in words."""

    key: str | None
    evidence: str


class Prober(Protocol):
    """What apply needs to know of an address."""

    def answers(self, address: str, port: int | None = None) -> bool: ...

    def look(self, address: str) -> Sighting: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SshProbe:
    """The real one. Times are in seconds."""

    port: int = 22
    quick: float = 1.0
    patience: float = 5.0

    def answers(self, address: str, port: int | None = None) -> bool:
        """Whether something listens there."""
        try:
            socket.create_connection((address, port or self.port), timeout=self.quick).close()
        except OSError:
            return False
        return True

    def look(self, address: str) -> Sighting:
        """The Ed25519 host key that is shown on the port."""
        try:
            connection = socket.create_connection((address, self.port), timeout=self.patience)
        except OSError as error:
            return Sighting(None, f"port {self.port} does not answer ({error.strerror or error})")
        transport = None
        try:
            transport = paramiko.Transport(connection)
            transport.banner_timeout = self.patience
            transport.get_security_options().key_types = ("ssh-ed25519",)
            transport.start_client(timeout=self.patience)
            key = transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as error:
            return Sighting(None, f"port {self.port} answers, but shows no Ed25519 key yet ({error})")
        finally:
            if transport is not None:
                transport.close()
            connection.close()
        shown = f"{key.get_name()} {key.get_base64()}"
        return Sighting(shown, f"port {self.port} answers with {fingerprint(shown)}")


def same_key(one: str, other: str) -> bool:
    """Compare public key lines without their comments."""
    return one.split()[:2] == other.split()[:2]


def fingerprint(key: str) -> str:
    """`SHA256:…` as ssh-keygen -l prints it, of a public key line."""
    blob = base64.b64decode(key.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
