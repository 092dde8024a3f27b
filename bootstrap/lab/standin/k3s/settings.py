"""K3s' configuration: config.yaml, config.yaml.d, environment and flags, in K3s' order of precedence.

Unknown keys are skipped with K3s' own warning, and so are server keys on an agent: a typo is visible in the log only.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .journal import Fatal, log

AGENT_KEYS = frozenset(
    """airgap-extra-registry bind-address container-runtime-endpoint containerd-cgroup data-dir debug
    default-runtime disable-apiserver-lb disable-default-registry-endpoint docker enable-pprof flannel-cni-conf
    flannel-conf flannel-iface image-credential-provider-bin-dir image-credential-provider-config
    image-service-endpoint kube-proxy-arg kubelet-arg lb-server-port log alsologtostderr node-external-dns
    node-external-ip node-internal-dns node-ip node-label node-name node-taint nonroot-devices pause-image
    prefer-bundled-bin private-registry protect-kernel-defaults resolv-conf rootless selinux server snapshotter token
    token-file v vmodule vpn-auth vpn-auth-file with-node-id""".split()
)
SERVER_KEYS = AGENT_KEYS | frozenset(
    """advertise-address advertise-port agent-token agent-token-file cluster-cidr cluster-dns cluster-domain
    cluster-init cluster-reset cluster-reset-restore-path datastore-cafile datastore-certfile datastore-endpoint
    datastore-keyfile default-local-storage-path disable disable-agent
    disable-apiserver disable-cloud-controller
    disable-controller-manager disable-etcd disable-helm-controller disable-kube-proxy disable-network-policy
    disable-scheduler egress-selector-mode embedded-registry etcd-arg etcd-disable-snapshots etcd-expose-metrics
    etcd-s3 etcd-s3-access-key etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-config-secret etcd-s3-endpoint
    etcd-s3-endpoint-ca etcd-s3-folder etcd-s3-insecure etcd-s3-proxy etcd-s3-region etcd-s3-retention
    etcd-s3-secret-key etcd-s3-session-token etcd-s3-skip-ssl-verify etcd-s3-timeout etcd-snapshot-compress
    etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-reconcile-interval etcd-snapshot-retention
    etcd-snapshot-schedule-cron flannel-backend flannel-external-ip flannel-ipv6-masq helm-job-image
    https-listen-port kine-tls kube-apiserver-arg kube-cloud-controller-manager-arg kube-controller-manager-arg
    kube-scheduler-arg multi-cluster-cidr secrets-encryption secrets-encryption-provider service-cidr
    service-node-port-range servicelb-namespace supervisor-metrics system-default-registry tls-san tls-san-security
    write-kubeconfig write-kubeconfig-group write-kubeconfig-mode""".split()
)
PACE = float(os.environ.get("RZP_STANDIN_PACE", "1"))  # a factor on every waiting time; tests hurry
ENVIRONMENT = {
    "K3S_TOKEN": "token",
    "K3S_TOKEN_FILE": "token-file",
    "K3S_AGENT_TOKEN": "agent-token",
    "K3S_URL": "server",
    "K3S_NODE_NAME": "node-name",
    "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode",
}
CRITICAL = {  # must be equal on all servers; the defaults are K3s'
    "cluster-cidr": "10.42.0.0/16",
    "service-cidr": "10.43.0.0/16",
    "cluster-dns": "",
    "cluster-domain": "cluster.local",
    "disable-cloud-controller": "false",
    "disable-helm-controller": "false",
    "disable-network-policy": "false",
    "egress-selector-mode": "agent",
    "embedded-registry": "false",
    "flannel-backend": "vxlan",
    "flannel-external-ip": "false",
    "flannel-ipv6-masq": "false",
    "secrets-encryption": "false",
    "secrets-encryption-provider": "aescbc",
}


def rooted(path: str) -> Path:
    """A path of the machine; tests give every machine a root of its own."""
    return Path(os.environ.get("RZP_STANDIN_ROOT", "") + path)


def only_root_reads(path: Path, what: str) -> None:
    """K3s itself would read such a file; the double refuses, because a deploy must never write one."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Fatal(f"stand-in: {what} {path} has mode {mode:04o}, a secret needs 0600")


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Settings:
    role: str  # "server" or "agent"
    values: dict[str, list[str]]

    def one(self, key: str, default: str = "") -> str:
        return (self.values.get(key) or [default])[-1]

    def many(self, key: str) -> list[str]:
        return [part for value in self.values.get(key, []) for part in value.split(",") if part]

    def on(self, key: str) -> bool:
        return self.one(key) == "true"

    def secret(self, key: str) -> str:
        """The value of `key`, or the content of the file that `key`-file names."""
        name = self.one(f"{key}-file")
        if not name:
            return self.one(key)
        path = rooted(name)
        if not path.is_file():
            raise Fatal(f"stand-in: {key}-file {path} does not exist")
        only_root_reads(path, f"{key}-file")
        return path.read_text().strip()

    @property
    def critical(self) -> dict[str, str]:
        found = {key: ",".join(self.many(key)) or default for key, default in CRITICAL.items()}
        return found | {"disable-service-lb": text("servicelb" in self.many("disable"))}

    @property
    def data(self) -> Path:
        return rooted(self.one("data-dir", "/var/lib/rancher/k3s"))

    @property
    def port(self) -> int:
        return int(self.one("https-listen-port", "6443"))


def _merge(values: dict[str, list[str]], document: dict[str, Any], known: frozenset[str]) -> None:
    for raw, value in document.items():
        key = raw.rstrip("+")
        if key not in known:
            log("warning", f"Unknown flag --{key} found in config.yaml, skipping")
            continue
        items = [text(item) for item in (value if isinstance(value, list) else [value]) if item is not None]
        values[key] = (values.get(key, []) if raw.endswith("+") else []) + items


def _files(path: Path) -> list[Path]:
    return [file for file in [path, *sorted(Path(f"{path}.d").glob("*.yaml"))] if file.is_file()]


def _flags(arguments: list[str], known: frozenset[str]) -> dict[str, list[str]]:
    flags: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if name != "config" and name not in known:
            raise Fatal(f"flag provided but not defined: -{name}")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        flags.setdefault(name, []).append(value)
    return flags


def load(role: str, arguments: list[str]) -> Settings:
    import yaml  # slow to import, and `k3s --version` does not need it

    known = SERVER_KEYS if role == "server" else AGENT_KEYS
    flags = _flags(arguments, known)
    named = (flags.pop("config", None) or [os.environ.get("K3S_CONFIG_FILE", "")])[-1]
    values: dict[str, list[str]] = {}
    for path in _files(rooted(named or "/etc/rancher/k3s/config.yaml")):
        document = yaml.safe_load(path.read_text()) or {}
        if not isinstance(document, dict):
            raise Fatal(f"stand-in: {path} is not a mapping")
        if "token" in document or "agent-token" in document:
            only_root_reads(path, "config file with a token")
        _merge(values, document, known)
    for variable, key in ENVIRONMENT.items():
        if os.environ.get(variable) and key in known:
            values[key] = [os.environ[variable]]
    return Settings(role, values | flags)
