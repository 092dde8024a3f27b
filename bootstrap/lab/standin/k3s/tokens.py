"""K3s' token formats: `<password>`, and `K10<sha256 of the CA's PEM file>::<user>:<password>`."""

import hashlib
import re
from dataclasses import dataclass

from .journal import Fatal, log

MALFORMED = (
    "failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"
)
BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
SECURE = re.compile(r"K10([0-9a-f]{64})::([^:]+):(.+)")


@dataclass(frozen=True)
class Token:
    user: str
    password: str
    ca_hash: str | None  # None: a short token, which pins nothing


def parse(raw: str, user: str) -> Token:
    """`user` is who a short token speaks for: `server` or `node`."""
    secure = SECURE.fullmatch(raw)
    token = Token(secure[2], secure[3], secure[1]) if secure else Token(user, raw, None)
    malformed = not secure and (raw.startswith("K10") or "::" in raw)
    # A bootstrap token as server token panics or leaves the cluster degraded (k3s#7499, #12982).
    if malformed or (token.user == "server" and BOOTSTRAP.fullmatch(token.password)):
        raise Fatal(MALFORMED)
    return token


def ca_hash(pem: bytes) -> str:
    return hashlib.sha256(pem).hexdigest()


def warn_of_short(token: Token) -> None:
    if token.ca_hash is None:
        log(
            "warning",
            "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. "
            "Use the full token from the server's node-token file to enable Cluster CA validation.",
        )
