"""A small HTTPS client; used by kubectl, by nodes and between servers. One connection per request."""

import base64
import http.client
import json
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .journal import log
from .tokens import Token, ca_hash

CONNECT, ANSWER = 5.0, 30.0  # seconds
NO_HASH = (
    "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. "
    "Use the full token from the server's node-token file to enable Cluster CA validation."
)


class Refused(Exception):
    """An answer other than 200; `str()` is the sentence that is shown."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """Talks to one server; raises Refused or OSError. `ca` is PEM text; None trusts anybody: for /cacerts only."""

    def __init__(
        self, url: str, ca: str | None, password: str = "", certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is None:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        else:
            self._context.load_verify_locations(cadata=ca)
        if certificate:
            self._context.load_cert_chain(*certificate)
        pair = base64.b64encode(f"server:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"} if password else {}

    def get(self, path: str) -> str:
        return self._send("GET", path, None)

    def post(self, request: str, body: Any) -> Any:
        return json.loads(self._send("POST", f"/v1-standin/{request}", json.dumps(body).encode()))

    def _send(self, method: str, path: str, body: bytes | None) -> str:
        parts = urlsplit(self.url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 6443, timeout=CONNECT, context=self._context
        )
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER)
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as problem:
            raise ConnectionError(f"broken answer: {problem!r}") from None
        finally:
            connection.close()
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise Refused(response.status, f"{self.url}{path}: 401 Unauthorized")
        if response.status != HTTPStatus.OK:
            raise Refused(response.status, text)
        return text


def trusted_authority(url: str, token: Token) -> str:
    """The cluster's CA as PEM, checked against the token; one without a hash trusts whoever answers."""
    pem = Client(url, None).get("/cacerts")
    if token.ca_hash is None:
        log("warning", NO_HASH)
    elif token.ca_hash != ca_hash(pem):
        text = "token CA hash does not match the Cluster CA certificate hash"
        raise Refused(HTTPStatus.FORBIDDEN, f"{text}: {token.ca_hash} != {ca_hash(pem)}")
    return pem
