"""Client: calls of the Proxmox VE API over a verified connection. With transport.py the only importer of proxmoxer.

Reads are repeated a bounded number of times; a write never is, and one without an answer raises UnknownOutcome. The
environment's proxies and ~/.netrc are not used. A wrong fingerprint ends the TLS handshake, so no request is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

import requests
from proxmoxer.backends.https import JsonSerializer
from proxmoxer.core import ProxmoxResource, ResourceException
from requests.adapters import BaseAdapter, HTTPAdapter

from bootstrap.config.proxmox import Proxmox
from bootstrap.errors import ProxmoxError, RzpError
from bootstrap.proxmox.access import Access, access
from bootstrap.proxmox.faults import Verdict, judge, refused, unreachable
from bootstrap.proxmox.transport import Http, Limits, Pinned
from bootstrap.secrets import Secrets

# Tickets live for two hours.
_TICKET_AGE = 3600.0
_ATTEMPTS = 4

Params = Mapping[str, Any]


class Watch(Protocol):
    """Hears of every call, when it is over. `outcome`: ok, or why not; `upid`: of the task that it started."""

    def __call__(
        self, what: str, /, *, method: str, path: str, seconds: float, outcome: str, upid: str | None
    ) -> None: ...


def connect(proxmox: Proxmox, secrets: Secrets, project: Path = Path(), watch: Watch | None = None) -> Client:
    """A client for an environment's Proxmox; nothing is sent yet."""
    return Client(access(proxmox, secrets, project), watch=watch)


class Client:
    """One for all threads; inside, each thread has a session of its own.

    `calls`: what was sent, in order. `waited_for`: UPIDs of tasks whose end is awaited. `transport` wraps what sends it; tests
    come in there.
    """

    def __init__(
        self,
        given: Access,
        *,
        limits: Limits | None = None,
        transport: Callable[[BaseAdapter], BaseAdapter] = lambda real: real,
        watch: Watch | None = None,
    ) -> None:
        self.access = given
        self.calls: list[tuple[str, str]] = []
        self.stop = threading.Event()
        self.waited_for: dict[str, str] = {}
        self._watch = watch
        self.limits = limits or Limits()
        self._transport = transport
        self._local = threading.local()
        self._endpoint = 0
        self._reached = False
        self._login = threading.Lock()
        self._ticket: tuple[float, str, str] | None = None

    @property
    def url(self) -> str:
        """The endpoint in use: the first that answers."""
        return self.access.endpoints[self._endpoint]

    def get(self, path: str, params: Params | None = None) -> Any:
        return self._call("GET", path, params)

    def post(self, path: str, params: Params | None = None) -> Any:
        return self._call("POST", path, params)

    def put(self, path: str, params: Params | None = None) -> Any:
        return self._call("PUT", path, params)

    def delete(self, path: str, params: Params | None = None) -> Any:
        return self._call("DELETE", path, params)

    def upload(self, path: str, params: Params, file: BinaryIO) -> Any:
        """`file.name` becomes the name of the file there. Proxmox wants the file last, after its checksum."""
        return self._call("POST", path, {**params, "filename": file})

    def pause(self, seconds: float) -> None:
        """Wait, or raise when another thread has ended the run."""
        if self.stop.wait(seconds):
            raise RzpError("interrupted; run the command again to go on")

    def _call(self, method: str, path: str, params: Params | None) -> Any:
        if self.access.token_name is None:
            self._log_in()
        return self._attempt(method, path, params, harmless=method == "GET")

    def _attempt(self, method: str, path: str, params: Params | None, *, harmless: bool) -> Any:
        for attempt in range(1, max(_ATTEMPTS, len(self.access.endpoints)) + 1):
            used, began = self._endpoint, time.monotonic()
            try:
                answer = self._send(method, path, params, self.access.endpoints[used])
                self._reached = True
                self._heard(method, path, began, "ok", answer)
                return answer
            except (requests.RequestException, ResourceException) as error:
                verdict, fault = self._fault(error, f"{method} {path}", used, harmless=harmless)
                self._heard(method, path, began, str(fault))
                if not self._again(verdict, attempt, used):
                    raise fault from None
        raise fault

    def _heard(self, method: str, path: str, began: float, outcome: str, answer: Any = None) -> None:
        if self._watch is not None:
            upid = answer if isinstance(answer, str) and answer.startswith("UPID:") else None
            seconds = round(time.monotonic() - began, 3)
            self._watch("call", method=method, path=path, seconds=seconds, outcome=outcome, upid=upid)

    def _again(self, verdict: Verdict, attempt: int, used: int) -> bool:
        endpoints = len(self.access.endpoints)
        if verdict is Verdict.UNSENT and attempt < endpoints:
            self._endpoint = (used + 1) % endpoints
            return True
        # Proxmox' proxy restarts now and then; what never left this machine can be sent again, a write too.
        patient = verdict is Verdict.BUSY or (verdict is Verdict.UNSENT and self._reached)
        if not patient or attempt >= _ATTEMPTS:
            return False
        self.pause(self.limits.first_pause * 2 ** (attempt - 1))
        return True

    def _fault(
        self, error: Exception, call: str, used: int, *, harmless: bool
    ) -> tuple[Verdict, ProxmoxError]:
        url = self.access.endpoints[used]
        if isinstance(error, requests.RequestException):
            verdict = judge(error, 0, "", harmless=harmless)
            return verdict, unreachable(error, call, url, self.access, verdict)
        status, reason = int(getattr(error, "status_code", 0)), str(getattr(error, "content", ""))
        verdict = judge(None, status, reason, harmless=harmless)
        return verdict, refused(status, reason, getattr(error, "errors", None), call, self.access, verdict)

    def _send(self, method: str, path: str, params: Params | None, endpoint: str) -> Any:
        http = self._session()
        self.calls.append((method, path))
        for value in (params or {}).values():
            if hasattr(value, "seek"):
                value.seek(0)
        resource = ProxmoxResource(
            base_url=f"{endpoint}/api2/json", session=http, serializer=JsonSerializer()
        )
        answer = getattr(resource(path.strip("/")), method.lower())(**_plain(params or {}))
        if isinstance(answer, dict) and isinstance(answer.get("errors"), bytes):
            raise ProxmoxError(f"{endpoint}: answers, but not as a Proxmox API; correct proxmox.endpoints")
        return answer

    def _session(self) -> Http:
        http: Http | None = getattr(self._local, "http", None)
        if http is None:
            verify = str(self.access.ca_file) if self.access.ca_file else not self.access.fingerprint
            http = self._local.http = Http(self._transport(self._adapter()), verify, self.limits)
            http.headers["Accept"] = "application/json"
        if self.access.token_name is not None:
            http.headers["Authorization"] = (
                f"PVEAPIToken={self.access.identity}={self.access.secret.reveal()}"
            )
        elif self._ticket is not None:
            http.headers["Cookie"] = f"PVEAuthCookie={quote(self._ticket[1], safe='')}"
            http.headers["CSRFPreventionToken"] = self._ticket[2]
        return http

    def _log_in(self) -> None:
        with self._login:
            if self._ticket is not None and time.monotonic() - self._ticket[0] < _TICKET_AGE:
                return
            answer = self._attempt(
                "POST",
                "/access/ticket",
                {"username": self.access.user, "password": self.access.secret.reveal()},
                harmless=True,
            )
            if answer.get("NeedTFA"):
                raise ProxmoxError(
                    f"{self.access.user} has a second factor; use an API token (proxmox.token)"
                )
            self._ticket = (time.monotonic(), answer["ticket"], answer["CSRFPreventionToken"])

    def _adapter(self) -> BaseAdapter:
        return Pinned(self.access.fingerprint) if self.access.fingerprint else HTTPAdapter()


def _plain(params: Params) -> dict[str, Any]:
    """As Proxmox takes values: booleans are 1 and 0, and nothing is left out."""
    return {
        name: int(value) if isinstance(value, bool) else value
        for name, value in params.items()
        if value is not None
    }
