"""The node part of servers and agents: node password, registration, heartbeats."""

import contextlib
import os
import platform
import re
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from .client import Refused
from .journal import Fatal, log
from .settings import PACE, Settings, rooted
from .store import Json

HEARTBEAT_EVERY = RETRY_EVERY = 2.0 * PACE  # seconds
RESERVED = re.compile(r"(?:.*\.)?(?:kubernetes\.io|k8s\.io)")
PERMITTED = re.compile(r"(?:.*\.)?(?:kubelet\.kubernetes\.io|node\.kubernetes\.io)")
PERMITTED_KEYS = {
    *(f"kubernetes.io/{name}" for name in ("hostname", "os", "arch")),
    *(f"topology.kubernetes.io/{name}" for name in ("region", "zone")),
}

Ask = Callable[[str, Json], Json]  # (request name, body) -> answer; raises OSError or Refused


def node_name(settings: Settings) -> str:
    return settings.one("node-name") or socket.gethostname().lower()


def addresses(settings: Settings) -> list[str]:
    return settings.many("node-ip") or [_default_address()]


def _default_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks the routing table for our address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def labels(settings: Settings) -> dict[str, str]:
    """Labels for the registration; kubelet stops at reserved ones."""
    found = {key: value for key, _, value in (label.partition("=") for label in settings.many("node-label"))}
    reserved = [
        key
        for key in found
        if RESERVED.fullmatch(key.partition("/")[0]) and "/" in key and key not in PERMITTED_KEYS
        if not PERMITTED.fullmatch(key.partition("/")[0])
    ]
    if reserved:
        words = "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels"
        raise Fatal(f"{words}: [{' '.join(reserved)}]")
    return found


def taints(settings: Settings) -> list[Json]:
    found = []
    for taint in settings.many("node-taint"):
        key, _, effect = taint.rpartition(":")
        key, _, value = key.partition("=")
        found.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
    return found


def password() -> str:
    """Made once per machine and kept outside K3s' own folders."""
    path = rooted("/etc/rancher/node/password")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_hex(16) + "\n")
    return path.read_text().strip()


def registration(settings: Settings, version: str, member: str | None) -> Json:
    """What a node tells when it starts. `member` is its etcd member name, on servers that have one."""
    name = node_name(settings)
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch}
    annotations = {}
    if settings.role == "server":
        system["node-role.kubernetes.io/control-plane"] = "true"
    if member:
        system["node-role.kubernetes.io/etcd"] = "true"
        annotations = {
            "etcd.k3s.cattle.io/node-name": member,
            "etcd.k3s.cattle.io/node-address": addresses(settings)[0],
        }
    found = [{"type": "InternalIP", "address": address} for address in addresses(settings)]
    status = {
        "addresses": [*found, {"type": "Hostname", "address": name}],
        "nodeInfo": {
            "kubeletVersion": version,
            "architecture": arch,
            "operatingSystem": "linux",
            "kernelVersion": platform.release(),
            "machineID": _content("/etc/machine-id"),
            "bootID": _content("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": "none://stand-in",
        },
    }
    own = {"labels": labels(settings), "taints": taints(settings), "annotations": annotations}
    return {"name": name, "password": password(), "system_labels": system, "status": status} | own


def _content(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def register(ask: Ask, body: Json) -> Json:
    """Waits for ever, as K3s does, while the server is away or refuses the node password."""
    while True:
        try:
            return ask("register", body)
        except Refused as problem:
            log("error", f"Waiting to retrieve agent configuration; server is not ready: {problem.message}")
        except OSError as problem:
            log("error", f"Waiting to retrieve agent configuration; server is not ready: {problem}")
        time.sleep(RETRY_EVERY)


def keep_alive(ask: Ask, name: str, learned: Callable[[list[str]], None]) -> None:
    while True:
        try:
            learned(ask("heartbeat", {"name": name})["servers"])
        except (OSError, Refused) as problem:
            log("warning", f"heartbeat failed: {problem}")
        time.sleep(HEARTBEAT_EVERY)


def notify_ready() -> None:
    """sd_notify: the unit is Type=notify for both roles."""
    target = os.environ.get("NOTIFY_SOCKET", "")
    if target:
        address = "\0" + target[1:] if target.startswith("@") else target
        # Nobody may be waiting any more.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.sendto(b"READY=1", address)
