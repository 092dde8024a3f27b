"""The transport of one thread: a requests session with time limits and verified TLS, which takes no proxy and no redirect."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import Any

import requests
from proxmoxer.backends.https import ProxmoxHttpSession
from requests.adapters import BaseAdapter, HTTPAdapter

from bootstrap.errors import ProxmoxError

# The server drops a connection after 5 s of silence; a write must not race with that.
_IDLE_LIMIT = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that one call may take, per kind, and the first pauses before a repetition and of a task's polls.

    Proxmox' own proxy gives up after 30; an upload is answered at its end.
    """

    connect: float = 10
    read: float = 40
    write: float = 60
    upload: float = 900
    first_pause: float = 0.5
    first_poll: float = 0.1


class Http(ProxmoxHttpSession):  # type: ignore[misc]  # proxmoxer is not typed
    """A requests session with our settings; proxmoxer's part of it streams uploads."""

    def __init__(self, adapter: BaseAdapter, verify: bool | str, limits: Limits) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", adapter)
        self._verify = verify
        self._limits = limits
        self.last_used = 0.0

    def request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Neither does a redirect get our credentials, nor does a call wait for ever."""
        if time.monotonic() - self.last_used > _IDLE_LIMIT:
            self.close()
        data = arguments.get("data") or {}
        upload = any(hasattr(value, "read") for value in data.values())
        limit = self._limits.read if method == "GET" else self._limits.write
        try:
            response: requests.Response = super().request(
                method,
                url,
                **arguments,
                timeout=(self._limits.connect, self._limits.upload if upload else limit),
                verify=self._verify,
                allow_redirects=False,
            )
        finally:
            self.last_used = time.monotonic()
        if response.is_redirect:
            raise ProxmoxError(
                f"{url}: it redirects to {response.headers['location']}; correct proxmox.endpoints"
            )
        return response


class Pinned(HTTPAdapter):
    """Accepts exactly one certificate."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        context = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # without the system's CAs: reading them takes 20 ms a connection
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().init_poolmanager(
            connections, maxsize, block, assert_fingerprint=self._fingerprint, ssl_context=context, **kwargs
        )
