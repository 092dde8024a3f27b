"""A small HTTPS client with a kept connection; used by kubectl, by nodes and between servers."""

import base64
import http.client
import json
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .tokens import Token, ca_hash


class Refused(Exception):
    """The server answered with an error; `str()` is K3s' shape `URL: 401 Unauthorized`."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        super().__init__(f"{url}: {status} {http.client.responses.get(status, '')}")
        self.status, self.text = status, body.decode(errors="replace").strip()

    @property
    def message(self) -> str:
        """The sentence of a Kubernetes Status, else what `str()` says."""
        try:
            return str(json.loads(self.text)["message"])
        except (ValueError, KeyError, TypeError):
            return str(self)


class Client:
    """Talks to one server. `ca` is PEM text; None trusts anybody and is only right for /cacerts."""

    def __init__(
        self,
        url: str,
        ca: str | None,
        *,
        token: Token | None = None,
        certificate: tuple[Path, Path] | None = None,
        timeout: float = 10,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=ca)
        if certificate:
            context.load_cert_chain(*certificate)
        self._connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 6443, timeout=timeout, context=context
        )
        self._lock = threading.Lock()
        self._headers = {"Content-Type": "application/json"}
        if token:
            pair = base64.b64encode(f"{token.user}:{token.password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"

    def get(self, path: str) -> bytes:
        return self._send("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self._send("POST", path, json.dumps(body).encode()))

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        with self._lock:
            try:
                return self._once(method, path, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                return self._once(method, path, body)  # a kept connection that the server had closed
            finally:
                if self._connection.sock is None:
                    self._connection.close()

    def _once(self, method: str, path: str, body: bytes | None) -> bytes:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
        except OSError:
            self._connection.close()
            raise
        except http.client.HTTPException as problem:
            self._connection.close()
            raise ConnectionError(f"broken answer: {problem!r}") from None
        if response.status != http.client.OK:
            raise Refused(self.url + path, response.status, answer)
        return answer


class WrongAuthority(Exception):
    """The token pins another CA than the one that answered."""


def trusted_authority(url: str, token: Token) -> str:
    """The cluster's CA as PEM, checked against the hash in the token; a short token trusts whoever answers."""
    pem = Client(url, None, timeout=5).get("/cacerts")
    found = ca_hash(pem)
    if token.ca_hash and token.ca_hash != found:
        raise WrongAuthority(
            f"token CA hash does not match the Cluster CA certificate hash: {token.ca_hash} != {found}"
        )
    return pem.decode()
