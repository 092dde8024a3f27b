"""`k3s server`: open the records, serve them, register as a node, report ready."""

import secrets
import ssl
import threading
from pathlib import Path
from typing import Any

from . import node, tokens
from .certificates import issue_admin, issue_serving
from .client import Refused
from .cluster import Cluster
from .founding import FOUNDING, OTHER, Origin
from .home import Home
from .journal import Fatal, log
from .listener import Listener, Service
from .objects import ApiError
from .settings import Settings
from .store import Json

ANY = "::" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc.cluster.local"]


class Server:
    """One server process, in the order of its start."""

    def __init__(self, settings: Settings, version: str) -> None:
        self.settings, self.version = settings, version
        self.home = Home(settings.data)
        self.home.make()
        host = node.addresses(settings)[0]
        self.address = f"https://{f'[{host}]' if ':' in host else host}:{settings.port}"
        self.token = self._token()
        self._check_families()

    def _token(self) -> tokens.Token:
        """Of the configuration, else of the disk, else a new one as K3s makes it on a first server."""
        kept = self.home.token.read_text().strip() if self.home.token.exists() else ""
        raw = self.settings.secret("token") or kept
        if not raw and self.settings.one("server"):
            raise Fatal("Error: --token is required")
        token = tokens.parse(raw or secrets.token_hex(16), "server")
        if kept and tokens.parse(kept, "server").password != token.password:
            raise Fatal(OTHER)
        return token

    def _check_families(self) -> None:
        cidrs = {":" in cidr for cidr in self.settings.critical["cluster-cidr"].split(",")}
        if {":" in address for address in node.addresses(self.settings)} != cidrs:
            raise Fatal("cluster-cidr and node-ip must share the same IP version (IPv4, IPv6 or dual-stack)")

    def run(self) -> None:
        store, member = Origin(self.settings, self.home, self.token, self.address).open()
        registration = node.registration(self.settings, self.version, member)
        cluster = Cluster(store, member, self._call)
        self.service = Service(cluster, self.home.tls, store.records[FOUNDING]["critical"], self.version)
        self.service.passwords = {"server": self.token.password, "node": self._agent_password()}
        self._listen()
        threading.Thread(target=cluster.run, daemon=True).start()
        self.home.write_tokens(self.service.passwords)
        self.home.write_kubeconfig(self.settings)
        self._make_namespaces()
        node.register(self.ask, registration)
        node.notify_ready()
        log("info", "k3s is up and running (stand-in)")
        node.keep_alive(self.ask, registration["name"], lambda _: None)

    def _agent_password(self) -> str:
        raw = self.settings.secret("agent-token")
        return tokens.parse(raw, "node").password if raw else self.token.password

    def _call(self, address: str, message: Json) -> Json:
        answer: Json = self.service.message(address, message)
        return answer

    def ask(self, name: str, body: Json) -> Any:
        """The same answers that an agent gets over the network."""
        try:
            return self.service.carry_out(name, body)
        except ApiError as problem:
            raise Refused(self.address, problem.code, problem.body.encode()) from None

    def _listen(self) -> None:
        tls, settings = self.home.tls, self.settings
        wanted = [*node.addresses(settings), *settings.many("tls-san"), "127.0.0.1", "::1"]
        literal = [name for name in wanted if ":" in name or name.replace(".", "").isdigit()]
        names = [name for name in wanted if name not in literal]
        issue_serving(tls, [*NAMES, node.node_name(settings), *names], literal)
        issue_admin(tls)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "serving-kube-apiserver.crt", tls / "serving-kube-apiserver.key")
        context.load_verify_locations(tls / "client-ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            listener = Listener(settings.one("bind-address", ANY), settings.port, context, self.service)
        except OSError as problem:
            raise Fatal(f"listen tcp :{settings.port}: {problem.strerror}") from None
        threading.Thread(target=listener.serve_forever, daemon=True).start()

    def _make_namespaces(self) -> None:
        """Waits, as K3s does, until the cluster has a leader."""
        manifests = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES
        ]
        while True:
            try:
                self.ask("apply", {"manifests": manifests, "namespace": "", "manager": "k3s", "force": True})
            except Refused as problem:
                log("warning", f"Waiting for a leader of the cluster: {problem.message}")
            else:
                return
