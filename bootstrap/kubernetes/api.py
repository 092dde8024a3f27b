"""GET requests to the Kubernetes API: TLS verified against the cluster's own CA, bounded, no proxy and no redirect."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bootstrap.errors import KubernetesError
from bootstrap.kubernetes.kubeconfig import Kubeconfig

_FETCH = "run the deploy again, it fetches the present kubeconfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds until a connection stands, until its next bytes come, and until the whole answer is there."""

    connect: float = 5
    read: float = 10
    answer: float = 30


class Api:
    """One cluster. Every server has the whole of it: the first that lets us in answers.

    `others`: URLs that are tried after the kubeconfig's own.
    """

    def __init__(
        self, kubeconfig: Kubeconfig, others: Sequence[str] = (), limits: Limits | None = None
    ) -> None:
        self._servers = list(dict.fromkeys([kubeconfig.server, *others]))
        self._limits = limits or Limits()
        try:
            self._tls = kubeconfig.tls()
        except (ssl.SSLError, ValueError) as error:  # the second for an authority that is empty
            raise KubernetesError(
                f"the kubeconfig's certificate or key cannot be used ({getattr(error, 'reason', None) or error}); {_FETCH}"
            ) from None

    def get(self, path: str) -> dict[str, Any]:
        """The answer to one GET; raises KubernetesError, whose `status` is the answer's."""
        connection = self._connected()
        server = self._servers[0]
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            with connection.getresponse() as response:
                body = self._body(response)
        except (OSError, http.client.HTTPException) as error:
            raise KubernetesError(f"{server}: {_broken(error, self._limits)}") from None
        finally:
            connection.close()
        return _answer(f"{server}{path}", response.status, body)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        ends, parts = time.monotonic() + self._limits.answer, []
        while part := response.read1(65536):
            parts.append(part)
            if time.monotonic() > ends:
                raise TimeoutError
        return b"".join(parts)

    def _connected(self) -> http.client.HTTPSConnection:
        refusals = []
        for server in self._servers:
            parts = urlsplit(server)
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port or 443, timeout=self._limits.connect, context=self._tls
            )
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                refusals.append(f"{server} ({_unreached(error, self._limits)})")
            else:
                connection.sock.settimeout(self._limits.read)
                self._servers = [server]
                return connection
        raise KubernetesError(
            f"the Kubernetes API is not reached: {', '.join(refusals)}; is the network reached from here? then on a server: journalctl -u k3s"
        )


def _unreached(error: OSError, limits: Limits) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {limits.connect:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; if it is the right cluster, {_FETCH}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return error.strerror or str(error)


def _broken(error: Exception, limits: Limits) -> str:
    """After the handshake. TLS 1.3 tells only here that the server does not accept our certificate."""
    if isinstance(error, TimeoutError):
        return f"the Kubernetes API does not answer within {limits.read:g} s (or its answer takes longer than {limits.answer:g} s)"
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return f"the API does not accept the kubeconfig's certificate ({error.reason}); {_FETCH}"
    said = str(error) or type(error).__name__
    # the server's refusal may be lost with the connection that it closes
    return f"the connection broke before the answer ({said}); if the certificate has expired, {_FETCH}"


def _answer(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if status == 200 and isinstance(document, dict):
        return document
    if status == 401:
        raise KubernetesError(
            f"{url}: the API does not accept the kubeconfig's certificate (401); {_FETCH}", status=status
        )
    if status == 200:
        raise KubernetesError(f"{url}: answers, but not as a Kubernetes API", status=status)
    said = document.get("message") if isinstance(document, dict) else body[:200].decode(errors="replace")
    raise KubernetesError(f"{url}: {status} {' '.join(str(said).split())}", status=status)
