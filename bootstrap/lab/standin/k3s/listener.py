"""The HTTPS port: K3s' open paths, and our own for nodes, servers and kubectl. Not the leader? The request is passed on."""

import base64
import hmac
import json
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .api import Api
from .certificates import CA_FILES
from .client import Client, Refused
from .cluster import Cluster, NoLeader
from .journal import log
from .objects import ApiError
from .tokens import Token

ADMIN, SERVER, NODE = "admin", "server", "node"
# Who may use which of our own paths; a server speaks for whomever it passes on.
ALLOWED = {
    "get": {ADMIN, SERVER},
    "apply": {ADMIN, SERVER},
    "edit": {ADMIN, SERVER},
    "delete": {ADMIN, SERVER},
    "join": {SERVER},
    "register": {NODE, SERVER},
    "heartbeat": {NODE, SERVER},
}
WAIT_FOR_LEADER = 8.0  # seconds that a request waits while no server leads


class Service:
    """What the handler threads share."""

    def __init__(self, cluster: Cluster, tls: Path, critical: dict[str, str], version: str) -> None:
        self.cluster, self.api, self.version = cluster, Api(cluster), version
        self.tls, self.critical = tls, critical
        self.passwords: dict[str, str] = {}  # by user: server, node
        self.peers: dict[tuple[str, float], Client] = {}
        self.silent: dict[str, float] = {}  # servers that did not answer, and until when they are left alone

    @property
    def authority(self) -> str:
        return (self.tls / "server-ca.crt").read_text()

    def identity(self, handler: BaseHTTPRequestHandler) -> str | None:
        connection = handler.connection
        certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
        if certificate:
            return ADMIN
        scheme, _, pair = handler.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(pair).decode().partition(":")
        expected = self.passwords.get(user, "")
        if expected and hmac.compare_digest(expected.encode(), password.encode()):
            return user
        log("error", "invalid username/password combination")
        return None

    def peer(self, address: str, timeout: float) -> Client:
        if (address, timeout) not in self.peers:
            token = Token(SERVER, self.passwords[SERVER], None)
            self.peers[address, timeout] = Client(address, self.authority, token=token, timeout=timeout)
        return self.peers[address, timeout]

    def message(self, address: str, body: Any) -> Any:
        """A word between servers. One that is switched off must not hold up the others more than once a second."""
        if time.monotonic() < self.silent.get(address, 0.0):
            raise ConnectionError(f"{address} did not answer a moment ago")
        try:
            return self.peer(address, 1.0).post("/v1-standin/peer", body)
        except OSError:
            self.silent[address] = time.monotonic() + 1.0
            raise
        except Refused as refused:
            raise ConnectionError(str(refused)) from None

    def join(self, body: Any) -> Any:
        """The state for a new learner, and the CA files that all servers share."""
        state = self.carry_out("join", body)
        if "files" in state:  # the leader has already answered in full
            return state
        files = {name: base64.b64encode((self.tls / name).read_bytes()).decode() for name in CA_FILES}
        return {"state": state, "files": files}

    def carry_out(self, name: str, body: Any) -> Any:
        """On the leader, wherever it is; waits for an election that is under way."""
        deadline = time.monotonic() + WAIT_FOR_LEADER
        while True:
            try:
                if self.cluster.leading:
                    return self.api.answer(name, body)
                leader = self.cluster.members.get(self.cluster.leader or "")
                if leader:
                    return self.peer(leader["address"], 10.0).post(f"/v1-standin/{name}", body)
            except Refused as refused:
                if refused.status != 503:
                    raise ApiError(refused.status, "", refused.text) from None
            except (OSError, NoLeader):
                pass  # the leader has just gone
            if time.monotonic() > deadline:
                raise ApiError(
                    503, "ServiceUnavailable", "the server is currently unable to handle the request"
                )
            time.sleep(0.1)

    def readyz(self, path: str) -> tuple[int, str]:
        ready = self.cluster.leading or self.cluster.leader is not None
        path, _, query = path.partition("?")
        checks = {"ping": True, "etcd": ready}
        name = path.removeprefix("/readyz").strip("/")
        if name:
            return (
                (200, "ok") if checks.get(name) else (500 if name in checks else 404, f"{name} check failed")
            )
        lines = [
            f"[{'+' if good else '-'}]{check} {'ok' if good else 'failed'}" for check, good in checks.items()
        ]
        verdict = "readyz check passed" if ready else "readyz check failed"
        if ready and "verbose" not in query:
            return 200, "ok"
        return (200 if ready else 500), "\n".join([*lines, verdict])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    service: Service

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/ping":
            self._reply(200, "pong")
        elif path == "/cacerts":
            self._reply(200, self.service.authority)
        elif (identity := self.service.identity(self)) is None:
            self._reply(401, "Unauthorized")
        elif path == "/v1-k3s/config" and identity in {SERVER, NODE}:
            self._reply(200, json.dumps(self.service.critical))
        elif path.startswith(("/readyz", "/livez", "/healthz")):
            self._reply(*self.service.readyz(self.path))
        elif path == "/version":
            self._reply(200, json.dumps({"gitVersion": self.service.version}))
        else:
            self._reply(404, "404 page not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.removeprefix("/v1-standin/")
        identity = self.service.identity(self)
        # A server on SQLite takes no further servers and says it in these words (k3s#2463).
        alone = name == "join" and self.service.cluster.me is None
        if identity is None or alone:
            self._reply(401, "Unauthorized")
        elif name == "peer" and identity == SERVER:
            self._reply(200, json.dumps(self.service.cluster.receive(body)))
        elif identity not in ALLOWED.get(name, set()):
            self._reply(403, "Forbidden")
        else:
            self._carry_out(name, body)

    def _carry_out(self, name: str, body: Any) -> None:
        try:
            answer = self.service.join(body) if name == "join" else self.service.carry_out(name, body)
            self._reply(200, json.dumps(answer))
        except ApiError as problem:
            self._reply(problem.code, problem.body)

    def _reply(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """K3s writes no access log."""


class Listener(ThreadingHTTPServer):
    """TLS is shaken hands in the connection's own thread, so that one slow peer does not hold up the others."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, port: int, context: ssl.SSLContext, service: Service) -> None:
        self._context = context
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        handler = type("BoundHandler", (Handler,), {"service": service})
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # As Go does: connections of the time before a reboot linger in the machine's network and must not block the port.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(10)
        try:
            secured = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return
        try:
            super().finish_request(secured, client_address)
        finally:
            secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's shape
        """A peer that hangs up in the middle is no news; anything else is a fault of the stand-in itself."""
        problem = sys.exception()
        if not isinstance(problem, OSError):
            log("error", f"stand-in: a request failed: {problem!r}")
