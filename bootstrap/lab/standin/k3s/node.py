"""The node part of servers and agents: node password, registration, heartbeats."""

import contextlib
import json
import os
import platform
import secrets
import socket
import time
from typing import Any, NoReturn

from .client import Client, Refused
from .files import DATA, write
from .journal import log
from .settings import PACE, Settings, rooted
from .state import Json
from .version import VERSION

EVERY = 2.0 * PACE  # seconds between heartbeats, and between tries


def taint(word: str) -> Json:
    """`key=value:Effect`, where `=value` or `:Effect` can be missing."""
    key, _, effect = word.partition(":")
    key, _, value = key.partition("=")
    return {"key": key} | ({"effect": effect} if effect else {}) | ({"value": value} if value else {})


def _password() -> str:
    """Made once per machine and kept outside K3s' own folders."""
    path = rooted("/etc/rancher/node/password")
    if not path.exists():
        write(path, secrets.token_hex(16) + "\n")
    return path.read_text().strip()


def _registration(settings: Settings, member: str | None) -> Json:
    """What a node tells when it starts. `member` is its etcd member name, on servers."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = {
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
    }
    annotations = {}
    if member:
        system |= {f"node-role.kubernetes.io/{role}": "true" for role in ("control-plane", "etcd")}
        prefix = "etcd.k3s.cattle.io/node"
        annotations = {f"{prefix}-name": member, f"{prefix}-address": settings.addresses[0]}
    status = {
        "addresses": [{"type": "InternalIP", "address": address} for address in settings.addresses],
        "nodeInfo": {"kubeletVersion": VERSION, "architecture": arch, "operatingSystem": "linux"},
    }
    first = {
        "labels": dict(label.split("=", 1) for label in settings.many("node-label")),
        "taints": [taint(word) for word in settings.many("node-taint")],
    }
    own = {"name": settings.name, "password": _password(), "status": status}
    return own | first | {"system_labels": system, "annotations": annotations}


class Node:
    """One node and the servers that it knows: it keeps its own list of them, and so outlives the configured one."""

    def __init__(self, settings: Settings, url: str, password: str, member: str | None) -> None:
        self._url, self._password, self.authority = url.rstrip("/"), password, ""
        self._registration = _registration(settings, member)
        self._list = rooted(f"{DATA}/agent/etc/k3s-agent-load-balancer.json")

    @property
    def servers(self) -> list[str]:
        known = json.loads(self._list.read_text())["ServerAddresses"] if self._list.exists() else []
        return list(dict.fromkeys([self._url, *known]))

    def _ask(self, url: str, request: str, body: Json) -> Any:
        return Client(url, self.authority, self._password).post(request, body)

    def register(self) -> None:
        """Waits for ever, as K3s does, while the servers are away or refuse the node password."""
        while True:
            for url in self.servers:
                try:
                    self._ask(url, "register", self._registration)
                except (OSError, Refused) as problem:
                    log("error", f"Waiting to retrieve agent configuration; server is not ready: {problem}")
                else:
                    self._heartbeats()
                    return
            time.sleep(EVERY)

    def keep_alive(self) -> NoReturn:
        while True:
            time.sleep(EVERY)
            self._heartbeats()

    def _heartbeats(self) -> None:
        """To every server: each of them judges by itself who is Ready."""
        for url in self.servers:
            try:
                found = self._ask(url, "heartbeat", {"name": self._registration["name"]})["servers"]
            except (OSError, Refused) as problem:
                log("warning", f"heartbeat failed: {problem}")
                continue
            if set(self.servers) != {self._url, *found}:
                write(self._list, json.dumps({"ServerURL": self._url, "ServerAddresses": found}))


def notify_ready() -> None:
    """sd_notify: the unit is Type=notify for both roles."""
    if target := os.environ.get("NOTIFY_SOCKET"):
        # nobody may be waiting any more
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.sendto(b"READY=1", "\0" + target[1:] if target.startswith("@") else target)
