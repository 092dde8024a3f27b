"""The kubeconfig that the deploy writes: one server, its CA, the admin's certificate and key, all inside the file."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from bootstrap.errors import KubernetesError


@dataclass(frozen=True, repr=False)
class Kubeconfig:
    """Where the API is, who signed its certificate, and who we are there. Never printed: it holds the admin's key."""

    server: str
    authority: str
    certificate: bytes
    key: bytes

    @classmethod
    def read(cls, path: Path) -> Kubeconfig:
        """Only the shape that K3s writes is understood: one cluster and one user, whose data is in the file."""
        try:
            document = yaml.safe_load(path.read_text())
            cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
            return cls(
                server=str(cluster["server"]),
                authority=_data(cluster, "certificate-authority-data").decode("ascii"),
                certificate=_data(user, "client-certificate-data"),
                key=_data(user, "client-key-data"),
            )
        except (yaml.YAMLError, LookupError, TypeError, ValueError):  # its text would quote the file
            raise KubernetesError(
                f"{path}: not a kubeconfig as the deploy writes it; delete it and run the deploy again"
            ) from None

    def tls(self) -> ssl.SSLContext:
        """Trusts the cluster's CA and nobody else; shows the admin's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.authority)
        # Python's ssl takes a private key from a file only. Nobody else can open this one: its folder is 0700 and it is
        # created 0600; it is gone as soon as it has been read.
        with tempfile.TemporaryDirectory(prefix="rzp-") as folder:
            pair = Path(folder) / "admin.pem"
            with os.fdopen(os.open(pair, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(self.certificate.rstrip() + b"\n" + self.key)
            context.load_cert_chain(pair)
        return context


def _data(values: dict[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(values[name], validate=True)
    except binascii.Error as error:
        raise ValueError(name) from error
