"""The HTTPS port: K3s' open paths, and our own requests of nodes, servers and kubectl."""

import base64
import hmac
import json
import socket
import socketserver
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .client import Refused
from .cluster import Cluster
from .journal import log


class Handler(BaseHTTPRequestHandler):
    """One request. Who has the admin's certificate or the token may ask; `node` and `server` share the password."""

    timeout = 60
    cluster: Cluster
    password: str

    def do_GET(self) -> None:
        founding = self.cluster.state.founding
        if self.path == "/ping":
            self._reply(200, "pong")
        elif self.path == "/cacerts":
            self._reply(200, founding["ca"]["server-ca.crt"])
        elif not self._known():
            self._reply(401, "Unauthorized")
        elif self.path == "/v1-k3s/config":
            self._reply(200, json.dumps(founding["critical"]))
        elif self.path == "/readyz":
            self._reply(200, "ok")
        elif self.path.startswith(("/api/", "/apis/")):
            self._list()
        else:
            self._reply(404, "Error from server (NotFound): the server could not find the requested resource")

    def _list(self) -> None:
        """Kubernetes' own way to ask for all objects of a kind."""
        try:
            answer = self.cluster.list(self.path)
        except Refused as problem:
            self._reply(problem.status, str(problem))
        else:
            self._reply(200, json.dumps(answer))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._known():
            self._reply(401, "Unauthorized")
            return
        try:
            answer = self.cluster.answer(self.path.removeprefix("/v1-standin/"), body)
        except Refused as problem:
            self._reply(problem.status, str(problem))
        else:
            self._reply(200, json.dumps(answer))

    def _known(self) -> bool:
        if isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert():
            return True
        pair = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
        known = hmac.compare_digest(pair.partition(b":")[2], self.password.encode())
        if pair and not known:
            log("error", "invalid username/password combination")
        return known

    def _reply(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        # Without a length curl takes the end of the connection for a broken answer.
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """K3s writes no access log."""


class Listener(ThreadingHTTPServer):
    """TLS is shaken hands in the connection's own thread, so that one slow peer does not hold up the others."""

    daemon_threads = True
    # As Go does: connections of the time before a reboot linger in the machine's network and must not block the port.
    allow_reuse_address = True

    def __init__(self, address: str, port: int, context: ssl.SSLContext, handler: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # the web server's own would ask the DNS for our name

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's shape
        """A peer that hangs up in the middle is no news; anything else is a fault of the stand-in itself."""
        problem = sys.exception()
        if not isinstance(problem, OSError):
            log("error", f"stand-in: a request failed: {problem!r}")
