"""The cluster's certificates, made with the openssl command: two self-signed CAs, a serving and an admin certificate."""

import subprocess
import tempfile
from pathlib import Path

from .journal import Fatal

CA_FILES = ("server-ca.crt", "server-ca.key", "client-ca.crt", "client-ca.key")


def _issue(folder: Path, name: str, subject: str, extensions: list[str], ca: str | None, days: int) -> None:
    common = ["distinguished_name=none", "x509_extensions=v3", "[none]", "[v3]", "subjectKeyIdentifier=hash"]
    settings = "\n".join(["[req]", *common, *extensions])
    signer = ["-CA", str(folder / f"{ca}.crt"), "-CAkey", str(folder / f"{ca}.key")] if ca else []
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write(settings + "\n")
        config.flush()
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        command += ["-config", config.name, "-subj", subject, "-days", str(days), *signer]
        command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Fatal("stand-in: the openssl command is missing") from None
    if result.returncode:
        raise Fatal(f"stand-in: openssl failed: {result.stderr.strip()}")
    (folder / f"{name}.key").chmod(0o600)


def make_authorities(folder: Path) -> None:
    """CA files that are there already are kept, as K3s keeps custom CA files."""
    for name in ("server-ca", "client-ca"):
        if not (folder / f"{name}.crt").exists():
            extensions = [
                "basicConstraints=critical,CA:TRUE",
                "keyUsage=critical,digitalSignature,keyCertSign",
            ]
            _issue(folder, name, f"/CN=k3s-standin-{name}", extensions, None, 3650)


def issue_serving(folder: Path, names: list[str], addresses: list[str]) -> None:
    alternatives = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    extensions = ["extendedKeyUsage=serverAuth", f"subjectAltName={','.join(dict.fromkeys(alternatives))}"]
    _issue(folder, "serving-kube-apiserver", "/O=k3s/CN=k3s", _leaf(extensions), "server-ca", 365)


def issue_admin(folder: Path) -> None:
    """Once: a new one would change the kubeconfig with every restart."""
    if (folder / "client-admin.crt").exists():
        return
    extensions = _leaf(["extendedKeyUsage=clientAuth"])
    _issue(folder, "client-admin", "/O=system:masters/CN=system:admin", extensions, "client-ca", 365)


def _leaf(extensions: list[str]) -> list[str]:
    # Python 3.13 verifies strictly (RFC 5280) and wants the authority's key identifier.
    common = [
        "authorityKeyIdentifier=keyid",
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
    ]
    return common + extensions
