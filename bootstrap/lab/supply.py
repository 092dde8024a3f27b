"""K3s and Argo CD for the lab's machines: the pinned release where it can be had, else a stand-in; and why.

Argo CD's manifest: RZP_ARGOCD_MANIFEST, else fetched (RZP_ARGOCD_MIRROR, else its own address) and kept in the cache.
K3s: RZP_K3S_BINARY alone. A fetched one would found a cluster whose pods wait for ever: no image is pulled inside the lab.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bootstrap.errors import LabError
from bootstrap.lab import cache

Report = Callable[[str], None]
Pins = Mapping[str, Mapping[str, Any]]
NAMES = {"k3s": "k3s", "argocd": "argocd-install.yaml"}
"""What each is called on the lab's file server."""
_TITLES = {"k3s": "K3s", "argocd": "Argo CD"}
_FILES = {"k3s": "RZP_K3S_BINARY", "argocd": "RZP_ARGOCD_MANIFEST"}
VARIABLES = (*_FILES.values(), "RZP_K3S_MIRROR", "RZP_ARGOCD_MIRROR")
"""What elsewhere tells the deploys where the two come from."""
_SECONDS = 10


def gather(pins: Pins, report: Report) -> dict[str, dict[str, Any]]:
    """The releases that can be had, by key: version, sha256, file. What is missing here will be a stand-in."""
    found: dict[str, dict[str, Any]] = {}
    for key, pin in pins.items():
        file, said = _given(key, pin) or (
            _fetched(pin) if key == "argocd" else (None, f"{_FILES[key]} is not set")
        )
        if file is None:
            report(f"{_TITLES[key]}: a stand-in, a test double (docs/verification.md); {said}")
        else:
            found[key] = {"version": pin["version"], "sha256": pin["sha256"], "file": str(file)}
            report(f"{_TITLES[key]}: {pin['version']}, the pinned release; {said}")
    if "k3s" in found and "argocd" not in found:
        raise LabError(
            "RZP_K3S_BINARY gives a real K3s, on which the stand-in of Argo CD's manifest never becomes available;"
            " set RZP_ARGOCD_MANIFEST to the pinned install.yaml as well"
        )
    return found


def publish(www: Path, base_url: str, supplied: Pins) -> dict[str, dict[str, str]]:
    """Put the releases on the file server; their pins, as the demo environment reads them."""
    pins = {}
    for key, one in supplied.items():
        shutil.copyfile(one["file"], www / NAMES[key])
        pins[key] = {
            "version": one["version"],
            "url": f"{base_url.rstrip('/')}/{NAMES[key]}",
            "sha256": one["sha256"],
        }
    return pins


def _given(key: str, pin: Mapping[str, Any]) -> tuple[Path, str] | None:
    variable = _FILES[key]
    if not (named := os.environ.get(variable)):
        return None
    path = Path(named).expanduser().resolve()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise LabError(
            f"{variable}: {path} cannot be read ({error.strerror}); name the file or unset it"
        ) from None
    if digest != pin["sha256"]:
        raise LabError(
            f"{variable}: {path} has the sha256 {digest}, but {pin['version']} is pinned as {pin['sha256']}"
            " (bootstrap/config/pins.py); name the pinned file or unset it"
        )
    return path, f"from {path}"


def _fetched(pin: Mapping[str, Any]) -> tuple[Path | None, str]:
    """The file from the cache or from its publisher, and what happened."""
    if None in pin.values():
        return None, "its pin is not known"
    kept = cache.folder() / f"argocd-{pin['sha256']}.yaml"
    if kept.exists():
        return kept, f"from {kept}"
    base = os.environ.get("RZP_ARGOCD_MIRROR")
    name = str(pin["url"]).rsplit("/", 1)[-1]
    url = f"{base.rstrip('/')}/{quote(pin['version'], safe='')}/{name}" if base else str(pin["url"])
    if not url.startswith(("http://", "https://")):
        return None, f"{url} is no web address"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme is checked above
            content: bytes = answer.read()
    except OSError as error:
        return None, f"{url} cannot be fetched ({getattr(error, 'reason', error)})"
    if (digest := hashlib.sha256(content).hexdigest()) != pin["sha256"]:
        return None, f"{url} has the sha256 {digest}, which is not the pinned one"
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(kept)
    return kept, f"fetched from {url}"
