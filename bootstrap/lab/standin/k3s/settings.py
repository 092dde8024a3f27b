"""K3s' configuration: config.yaml, then config.yaml.d in alphabetical order. Flags and environment are not imitated.

Unknown keys are skipped with K3s' own warning, and so are server keys on an agent: a typo is visible in the log only.
"""

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .journal import Fatal, log

AGENT_KEYS = frozenset(
    """airgap-extra-registry alsologtostderr bind-address container-runtime-endpoint containerd-cgroup data-dir debug
    default-runtime disable-apiserver-lb disable-default-registry-endpoint docker enable-pprof flannel-cni-conf
    flannel-conf flannel-iface image-credential-provider-bin-dir image-credential-provider-config
    image-service-endpoint kube-proxy-arg kubelet-arg lb-server-port log node-external-dns node-external-ip
    node-internal-dns node-ip node-label node-name node-taint nonroot-devices pause-image prefer-bundled-bin
    private-registry protect-kernel-defaults resolv-conf rootless selinux server snapshotter token token-file v
    vmodule vpn-auth vpn-auth-file with-node-id""".split()
)
SERVER_KEYS = AGENT_KEYS | frozenset(
    """advertise-address advertise-port agent-token agent-token-file cluster-cidr cluster-dns cluster-domain
    cluster-init cluster-reset cluster-reset-restore-path datastore-cafile datastore-certfile datastore-endpoint
    datastore-keyfile default-local-storage-path disable disable-agent disable-apiserver disable-cloud-controller
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
# The double would answer wrongly with these, so it stops.
NOT_IMITATED = (
    "agent-token",
    "agent-token-file",
    "cluster-reset",
    "data-dir",
    "datastore-endpoint",
    "with-node-id",
)
# Must be equal on all servers; the defaults are K3s'.
CRITICAL = dict(
    word.split("=")
    for word in """cluster-cidr=10.42.0.0/16 service-cidr=10.43.0.0/16 cluster-dns= cluster-domain=cluster.local
    disable-cloud-controller=false disable-helm-controller=false disable-network-policy=false
    egress-selector-mode=agent embedded-registry=false flannel-backend=vxlan flannel-external-ip=false
    flannel-ipv6-masq=false secrets-encryption=false secrets-encryption-provider=aescbc""".split()
)
PACE = float(os.environ.get("RZP_STANDIN_PACE", "1"))  # a factor on every waiting time; tests hurry


def rooted(path: str) -> Path:
    """A path of the machine; tests give every machine a root of its own."""
    return Path(os.environ.get("RZP_STANDIN_ROOT", "") + path)


@dataclass(frozen=True)
class Settings:
    role: str  # "server" or "agent"
    values: dict[str, list[str]]

    def one(self, key: str, default: str = "") -> str:
        return (self.values.get(key) or [default])[-1]

    def many(self, key: str) -> list[str]:
        return [part for value in self.values.get(key, []) for part in value.split(",") if part]

    @property
    def name(self) -> str:
        return self.one("node-name") or socket.gethostname().lower()

    @property
    def addresses(self) -> list[str]:
        if not self.many("node-ip"):
            raise Fatal("stand-in: node-ip is not given, and choosing an address is not imitated")
        return self.many("node-ip")

    @property
    def port(self) -> int:
        return int(self.one("https-listen-port", "6443"))

    @property
    def url(self) -> str:
        """Where other machines reach this server."""
        host = self.addresses[0]
        return f"https://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def token(self) -> str:
        path = rooted(self.one("token-file"))
        if not self.one("token-file"):
            text = self.one("token")
        elif path.is_file():
            _only_root_reads(path)
            text = path.read_text().strip()
        else:
            raise Fatal(f"stand-in: token-file {path} does not exist")
        if not text:
            raise Fatal(
                "Error: --token is required"
            )  # a first server would make one itself; no deploy wants that
        return text

    @property
    def critical(self) -> dict[str, str]:
        found = {key: ",".join(self.many(key)) or default for key, default in CRITICAL.items()}
        return found | {"disable-service-lb": str("servicelb" in self.many("disable")).lower()}


def load(role: str) -> Settings:
    import yaml  # slow to import, and `k3s --version` does not need it

    known = SERVER_KEYS if role == "server" else AGENT_KEYS
    values: dict[str, list[str]] = {}
    path = rooted("/etc/rancher/k3s/config.yaml")
    for file in [path, *sorted(Path(f"{path}.d").glob("*.yaml"))]:
        document = (yaml.safe_load(file.read_text()) if file.is_file() else None) or {}
        if "token" in document:
            _only_root_reads(file)
        _merge(values, document, known)
    for key in NOT_IMITATED:
        if key in values:
            raise Fatal(f"stand-in: {key} is not imitated")
    return Settings(role, values)


def _merge(values: dict[str, list[str]], document: dict[str, Any], known: frozenset[str]) -> None:
    """A later value replaces an earlier one; `key+` appends to it."""
    for raw, value in document.items():
        key = raw.rstrip("+")
        if key not in known:
            log("warning", f"Unknown flag --{key} found in config.yaml, skipping")
            continue
        items = value if isinstance(value, list) else [value]
        texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
        values[key] = (values.get(key, []) if raw.endswith("+") else []) + texts


def _only_root_reads(path: Path) -> None:
    """K3s itself would read such a file; the double refuses, because a deploy must never write one."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Fatal(f"stand-in: {path} has mode {mode:04o}, a token needs 0600")
