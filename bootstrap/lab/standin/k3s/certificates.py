"""The cluster's certificates, made with the openssl command: a self-signed CA, a serving and an admin certificate."""

import subprocess
import tempfile
from pathlib import Path

from .journal import Fatal

# Python 3.13 verifies strictly (RFC 5280) and wants the authority's key identifier.
_LEAF = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n"
)
_CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,keyCertSign\n"
_CONFIG = "[req]\ndistinguished_name=none\nx509_extensions=v3\n[none]\n[v3]\nsubjectKeyIdentifier=hash\n"


def make_authority(folder: Path) -> None:
    """A CA that is there already is kept, as K3s keeps a custom one."""
    if not (folder / "server-ca.crt").exists():
        _issue(folder, "server-ca", "/CN=k3s-standin-server-ca", _CA, days=3650)


def issue_serving(folder: Path, names: list[str]) -> None:
    kinds = {name: "IP" if ":" in name or name.replace(".", "").isdigit() else "DNS" for name in names}
    alternatives = ",".join(f"{kind}:{name}" for name, kind in kinds.items())
    extensions = f"{_LEAF}extendedKeyUsage=serverAuth\nsubjectAltName={alternatives}\n"
    _issue(folder, "serving-kube-apiserver", "/O=k3s/CN=k3s", extensions)


def issue_admin(folder: Path) -> None:
    """Once: a new one would change the kubeconfig with every restart."""
    if not (folder / "client-admin.crt").exists():
        subject = "/O=system:masters/CN=system:admin"
        _issue(folder, "client-admin", subject, f"{_LEAF}extendedKeyUsage=clientAuth\n")


def _issue(folder: Path, name: str, subject: str, extensions: str, days: int = 365) -> None:
    ca = str(folder / "server-ca")
    signer = [] if name == "server-ca" else ["-CA", f"{ca}.crt", "-CAkey", f"{ca}.key"]
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write(_CONFIG + extensions)
        config.flush()
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split()
        command += ["-config", config.name, "-subj", subject, "-days", str(days), *signer]
        command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fatal(f"stand-in: openssl failed: {done.stderr.strip()}")
    (folder / f"{name}.key").chmod(0o600)
