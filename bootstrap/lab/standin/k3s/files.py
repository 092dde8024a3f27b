"""The files of a server: data directory, token, kubeconfig, with K3s' names and modes."""

import base64
import os
from pathlib import Path

from .settings import rooted
from .tokens import ca_hash

DATA = "/var/lib/rancher/k3s"
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- {{name: default, cluster: {{certificate-authority-data: {authority}, server: "https://127.0.0.1:{port}"}}}}
users:
- {{name: default, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}
contexts:
- {{name: default, context: {{cluster: default, user: default}}}}
current-context: default
"""


def write(path: Path, content: str, mode: int = 0o600) -> None:
    """Never readable with a wider mode than asked for, and never half written."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    new.replace(path)


class Home:
    """`server/` in the data directory."""

    def __init__(self) -> None:
        self.folder = rooted(f"{DATA}/server")
        self.tls = self.folder / "tls"
        self.state = self.folder / "db/etcd/member/state.json"
        self.member = self.folder / "db/etcd/name"

    def make(self) -> None:
        self.tls.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    @property
    def authority(self) -> str:
        return (self.tls / "server-ca.crt").read_text()

    @property
    def admin(self) -> tuple[Path, Path]:
        return self.tls / "client-admin.crt", self.tls / "client-admin.key"

    def write_token(self, password: str) -> None:
        write(self.folder / "token", f"K10{ca_hash(self.authority)}::server:{password}\n")
        link = self.folder / "node-token"
        if not link.is_symlink():
            link.symlink_to("token")

    def write_kubeconfig(self, port: int, mode: str) -> None:
        files = {"authority": self.tls / "server-ca.crt", "certificate": self.admin[0], "key": self.admin[1]}
        values = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
        write(rooted(KUBECONFIG), _KUBECONFIG.format(port=port, **values), int(mode, 8))
