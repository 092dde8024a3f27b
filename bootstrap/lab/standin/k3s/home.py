"""The files of a server: data directory, tokens, kubeconfig, with K3s' names and modes."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from . import tokens
from .settings import Settings, rooted

KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://127.0.0.1:{port}
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""


def write(path: Path, content: str, mode: int) -> None:
    """Never readable with a wider mode than asked for, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    new.replace(path)


@dataclass(frozen=True)
class Home:
    """The data directory of a server."""

    data: Path

    def make(self) -> None:
        for folder in (self.server, self.tls, self.server / "db"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.server.chmod(0o700)

    @property
    def server(self) -> Path:
        return self.data / "server"

    @property
    def tls(self) -> Path:
        return self.server / "tls"

    @property
    def token(self) -> Path:
        return self.server / "token"

    @property
    def sqlite(self) -> Path:
        """The records of a server without etcd; no SQLite in it, only its name."""
        return self.server / "db/state.db"

    @property
    def member(self) -> Path:
        """The records of a member of the cluster."""
        return self.server / "db/etcd/member/log"

    @property
    def member_name(self) -> Path:
        return self.server / "db/etcd/name"

    def write_tokens(self, passwords: dict[str, str]) -> None:
        prefix = f"K10{tokens.ca_hash((self.tls / 'server-ca.crt').read_bytes())}"
        write(self.token, f"{prefix}::server:{passwords['server']}\n", 0o600)
        write(self.server / "agent-token", f"{prefix}::node:{passwords['node']}\n", 0o600)
        link = self.server / "node-token"
        if not link.is_symlink():
            link.symlink_to("token")

    def write_kubeconfig(self, settings: Settings) -> None:
        def encoded(name: str) -> str:
            return base64.b64encode((self.tls / name).read_bytes()).decode()

        content = KUBECONFIG.format(
            authority=encoded("server-ca.crt"),
            port=settings.port,
            certificate=encoded("client-admin.crt"),
            key=encoded("client-admin.key"),
        )
        target = rooted(settings.one("write-kubeconfig", "/etc/rancher/k3s/k3s.yaml"))
        write(target, content, int(settings.one("write-kubeconfig-mode", "0600"), 8))
