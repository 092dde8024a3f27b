"""kubectl's way to the API server: a kubeconfig, and kubectl's words for what goes wrong."""

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .arguments import Arguments
from .client import Client, Refused
from .settings import rooted
from .store import Json

REFUSED = "The connection to the server {} was refused - did you specify the right host or port?"


class Failed(Exception):
    """kubectl's last words."""


def server_error(status: Json) -> str:
    if status["reason"] in {"NoMatch", "UnknownKind", "Overwrite", "NoTaint"}:
        return f"error: {status['message']}"
    return f"Error from server ({status['reason']}): {status['message']}"


class Connection:
    """The API server of a kubeconfig; read with a regular expression, because importing yaml takes as long as a call."""

    def __init__(self, arguments: Arguments) -> None:
        default = str(rooted("/etc/rancher/k3s/k3s.yaml"))
        path = arguments.one("kubeconfig") or os.environ.get("KUBECONFIG") or default
        try:
            text = Path(path).read_text()
        except FileNotFoundError:
            raise Failed(REFUSED.format("localhost:8080")) from None
        except PermissionError:
            words = f'error: error loading config file "{path}": open {path}: permission denied'
            raise Failed(words) from None
        found = dict(re.findall(r"^[ -]*([a-z-]+): *[\"']?([^\s\"']+)", text, re.MULTILINE))
        self.url = found["server"]
        authority = base64.b64decode(found["certificate-authority-data"]).decode()
        with tempfile.NamedTemporaryFile() as certificate, tempfile.NamedTemporaryFile() as key:
            for file, name in ((certificate, "client-certificate-data"), (key, "client-key-data")):
                file.write(base64.b64decode(found[name]))
                file.flush()
            files = (Path(certificate.name), Path(key.name))
            self._client = Client(self.url, authority, certificate=files, timeout=60)

    def post(self, name: str, body: Json) -> Any:
        return self._guarded(lambda: self._client.post(f"/v1-standin/{name}", body))

    def get(self, path: str) -> str:
        return str(self._guarded(lambda: self._client.get(path).decode()))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Refused as refused:
            raise Failed(_words(refused)) from None
        except ConnectionRefusedError:
            raise Failed(REFUSED.format(self.url.removeprefix("https://"))) from None
        except OSError as problem:
            raise Failed(f"Unable to connect to the server: {problem}") from None


def _words(refused: Refused) -> str:
    try:
        return server_error(json.loads(refused.text))
    except ValueError:
        if refused.status == 401:
            return "error: You must be logged in to the server (Unauthorized)"
        if refused.status == 404:
            return "Error from server (NotFound): the server could not find the requested resource"
        quoted = refused.text.replace("\n", "\\n")
        problem = f'an error on the server ("{quoted}") has prevented the request from succeeding'
        return f"Error from server (InternalError): {problem}"
