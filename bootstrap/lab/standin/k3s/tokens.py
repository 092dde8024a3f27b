"""K3s' token formats: `<password>`, and `K10<sha256 of the CA's PEM file>::<user>:<password>`."""

import hashlib
import re
from dataclasses import dataclass

from .journal import Fatal

MALFORMED = (
    "failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"
)
BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
SECURE = re.compile(r"K10([0-9a-f]{64})::[^:]+:(.+)")


@dataclass(frozen=True)
class Token:
    password: str
    ca_hash: str | None  # None: a short token, which pins nothing

    @staticmethod
    def parse(raw: str) -> "Token":
        secure = SECURE.fullmatch(raw)
        token = Token(secure[2], secure[1]) if secure else Token(raw, None)
        malformed = not secure and (raw.startswith("K10") or "::" in raw)
        # A bootstrap token as server token panics or leaves the cluster degraded (k3s#7499, #12982).
        if malformed or BOOTSTRAP.fullmatch(token.password):
            raise Fatal(MALFORMED)
        return token


def ca_hash(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()


def digest(salt: str, password: str) -> str:
    """How a password is kept: K3s keeps hashes too, of another kind."""
    return hashlib.sha256(f"{salt}:{password}".encode()).hexdigest()
