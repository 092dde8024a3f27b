"""Where our files lie on a machine."""

from __future__ import annotations

K3S_BINARY = "/usr/local/bin/k3s"
K3S_CONFIG = "/etc/rancher/k3s/config.yaml"
K3S_FIRST_START = "/etc/rancher/k3s/config.yaml.d/10-first-start.yaml"
K3S_TOKEN = "/etc/rancher/k3s/token"  # noqa: S105 - a path
K3S_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
K3S_STARTED = "/run/rzp-k3s/started"
"""What the running K3s was started with, as sha256sum prints it; written by our unit itself."""

SERVER_DATA = "/var/lib/rancher/k3s/server"
ETCD_MEMBER = f"{SERVER_DATA}/db/etcd/member"
SQLITE = f"{SERVER_DATA}/db/state.db"
SERVER_CA = f"{SERVER_DATA}/tls/server-ca.crt"

MODULES_LOAD = "/etc/modules-load.d/rzp-k3s.conf"
SYSCTL = "/etc/sysctl.d/90-rzp-k3s.conf"

CLOUD_INIT_RESULT = "/run/cloud-init/result.json"
CLOUD_INIT_STATUS = "/run/cloud-init/status.json"
CLOUD_INIT_DISABLED = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")

GUEST_AGENT_PORT = "/dev/virtio-ports/org.qemu.guest_agent.0"


def unit(name: str) -> str:
    """The file of a systemd unit of ours."""
    return f"/etc/systemd/system/{name}"
