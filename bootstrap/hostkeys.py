"""SSH host keys known before the first login: Ed25519, derived from a secret of the environment and the SMBIOS UUID.

Every workstation that can read the secret knows every machine's key; nothing else is stored.
"""

from __future__ import annotations

from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bootstrap.secrets import Secret


def _key(seed: Secret, machine: UUID) -> Ed25519PrivateKey:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"rzp-infra ssh host key 1 " + machine.bytes)
    return Ed25519PrivateKey.from_private_bytes(hkdf.derive(seed.reveal().encode()))


def private(seed: Secret, machine: UUID) -> Secret:
    """The private half in OpenSSH's own format; it goes into the seed ISO and nowhere else."""
    return Secret(
        _key(seed, machine).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    )


def public(seed: Secret, machine: UUID) -> str:
    """`ssh-ed25519 AAAA…`, as in known_hosts."""
    return _key(seed, machine).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
