"""A double of the Kubernetes API, whose answers are written down beforehand; its TLS is real."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.kubernetes.api import Api, Limits
from bootstrap.kubernetes.kubeconfig import Kubeconfig
from bootstrap.lab.standin.k3s import certificates


@dataclass
class ApiDouble:
    """Answers every GET with `status` and `body` over real TLS; the certificates are those of the folder `tls`."""

    tls: Path
    status: int = 200
    body: bytes = b"{}"
    redirect: str = ""
    silent: threading.Event | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self) -> ApiDouble:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert isinstance(self.connection, ssl.SSLSocket)
                shown = "system:admin" in str(self.connection.getpeercert())
                double.asked.append((self.path, "admin" if shown else "anonymous"))
                if double.silent:
                    double.silent.wait(20)
                self.send_response(double.status)
                if double.redirect:
                    self.send_header("Location", double.redirect)
                self.send_header("Content-Length", str(len(double.body)))
                self.end_headers()
                self.wfile.write(double.body)

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class's name

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self.tls / "serving-kube-apiserver.crt", self.tls / "serving-kube-apiserver.key"
        )
        context.load_verify_locations(self.tls / "server-ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    @property
    def url(self) -> str:
        assert self.server
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        if self.silent:
            self.silent.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> Callable[[str], Path]:
    """Makes the certificates of a cluster: CA, server for 127.0.0.1, admin."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        certificates.make_authority(folder)
        certificates.issue_serving(folder, ["127.0.0.1"])
        certificates.issue_admin(folder)
        return folder

    return make


@pytest.fixture
def double(authority: Callable[[str], Path]) -> Iterator[Callable[..., ApiDouble]]:
    """Starts doubles of the API; by default all with the same certificates."""
    made: list[ApiDouble] = []
    own = authority("cluster")

    def start(**values: Any) -> ApiDouble:
        if isinstance(answer := values.get("body"), dict):
            values["body"] = json.dumps(answer).encode()
        made.append(ApiDouble(**{"tls": own, **values}).start())
        return made[-1]

    yield start
    for one in made:
        one.stop()


def kubeconfig_text(server: str, tls: Path) -> str:
    """As K3s writes it."""

    def data(name: str) -> str:
        return base64.b64encode((tls / name).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data("server-ca.crt")}
    user = {
        "client-certificate-data": data("client-admin.crt"),
        "client-key-data": data("client-admin.key"),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rzp-test", "cluster": cluster}],
            "users": [{"name": "rzp-test", "user": user}],
            "contexts": [{"name": "rzp-test", "context": {"cluster": "rzp-test", "user": "rzp-test"}}],
            "current-context": "rzp-test",
        }
    )


@pytest.fixture
def api(tmp_path: Path) -> Callable[..., Api]:
    """The real client for a server with these certificates; it loses patience quickly."""

    def make(server: str, tls: Path, *others: str) -> Api:
        path = tmp_path / "test.kubeconfig"
        path.write_text(kubeconfig_text(server, tls))
        return Api(Kubeconfig.read(path), others, Limits(connect=1, read=0.5))

    return make
