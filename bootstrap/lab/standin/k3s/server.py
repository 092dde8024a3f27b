"""`k3s server`: open the state, serve it, register as a node, report ready, become a voter."""

import ssl
import threading
from pathlib import Path
from typing import NoReturn

from .certificates import issue_admin, issue_serving
from .cluster import Cluster
from .files import Home
from .journal import Fatal, log
from .listener import Handler, Listener
from .node import Node, notify_ready
from .origin import Origin
from .settings import PACE, Settings
from .tokens import Token

ANY = "::" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"
NAMES = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
]
PROMOTED_AFTER = 1.0 * PACE  # seconds that a learner is up before it becomes a voter


def run(settings: Settings) -> NoReturn:
    token, home = Token.parse(settings.token), Home()
    families = {":" in cidr for cidr in settings.critical["cluster-cidr"].split(",")}
    if {":" in address for address in settings.addresses} != families:
        raise Fatal("cluster-cidr and node-ip must share the same IP version (IPv4, IPv6 or dual-stack)")
    home.make()
    state, member = Origin(settings, home, token).open()
    cluster = Cluster(state, home.state, member, token.password)
    cluster.keep(cluster.newest(state))
    _listen(settings, home, type("Bound", (Handler,), {"cluster": cluster, "password": token.password}))
    home.write_token(token.password)
    home.write_kubeconfig(settings.port, settings.one("write-kubeconfig-mode", "0600"))
    node = Node(settings, settings.url, token.password, member)
    node.authority = home.authority
    node.register()
    notify_ready()
    log("info", "k3s is up and running (stand-in)")
    if cluster.state.members[member]["learner"]:
        threading.Timer(PROMOTED_AFTER, cluster.answer, ["promote", {"member": member}]).start()
    node.keep_alive()


def _listen(settings: Settings, home: Home, handler: type[Handler]) -> None:
    issue_serving(home.tls, [*NAMES, settings.name, *settings.addresses, *settings.many("tls-san")])
    issue_admin(home.tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.tls / "serving-kube-apiserver.crt", home.tls / "serving-kube-apiserver.key")
    context.load_verify_locations(home.tls / "server-ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        listener = Listener(settings.one("bind-address", ANY), settings.port, context, handler)
    except OSError as problem:
        raise Fatal(f"listen tcp :{settings.port}: {problem.strerror}") from None
    threading.Thread(target=listener.serve_forever, daemon=True).start()
