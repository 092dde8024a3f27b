"""Images and seed ISOs: files on a storage of a node."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bootstrap.config.base import Environment
from bootstrap.config.software import Image
from bootstrap.errors import InvalidEnvironment
from bootstrap.proxmox import tasks
from bootstrap.proxmox.session import Client

_FETCH_LIMIT = 1800.0
_FILE_LIMIT = 120.0
_CHUNK = 1 << 20


class _NamedBytes(io.BytesIO):
    """Bytes with the name that the uploaded file gets."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


class _RenamedFile(io.FileIO):
    """A local file that is uploaded under another name."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(path)
        self.name = name


def volume(environment: Environment) -> str:
    """The image as Proxmox names it."""
    return f"{environment.proxmox.image_storage}:import/{environment.image.filename}"


def content(client: Client, node: str, storage: str, kind: str | None = None) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get(f"/nodes/{node}/storage/{storage}/content", {"content": kind})
    return listed


def fetch(
    client: Client,
    environment: Environment,
    node: str,
    project: Path,
    waiting: tasks.Waiting = lambda _: None,
) -> bool:
    """Bring the image to a node's storage, checked against its checksum. False when it was there already."""
    image, storage = environment.image, environment.proxmox.image_storage
    if any(entry["volid"] == volume(environment) for entry in content(client, node, storage, "import")):
        return False
    if missing := image.missing():
        raise InvalidEnvironment(
            [
                f"{environment.name}: image.{' and image.'.join(missing)} not known; set it in bootstrap/config/pins.py"
            ]
        )
    folder = f"/nodes/{node}/storage/{storage}"
    checksum = {"checksum-algorithm": image.checksum_algorithm, "checksum": image.checksum}
    if image.file is None:
        asked = {"content": "import", "filename": image.filename, "url": image.url, **checksum}
        upid = client.post(f"{folder}/download-url", asked)
    else:
        path = project / image.file.expanduser()
        check_file(image, path)
        with _RenamedFile(image.filename, path) as file:
            upid = client.upload(f"{folder}/upload", {"content": "import", **checksum}, file)
    tasks.wait(client, upid, limit=_FETCH_LIMIT, waiting=waiting)
    return True


def check_file(image: Image, path: Path) -> None:
    """A local image that is not the pinned one never leaves this machine."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.new(image.checksum_algorithm)
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InvalidEnvironment([f"image.file {path}: {error.strerror}; correct the path"]) from None
    if digest.hexdigest() != image.checksum:
        raise InvalidEnvironment(
            [
                (
                    f"image.file {path}: its {image.checksum_algorithm} is {digest.hexdigest()}, pinned is {image.checksum};"
                    " download it again or correct image.checksum"
                )
            ]
        )


def upload_seed(client: Client, node: str, storage: str, name: str, data: bytes) -> None:
    """Put a seed ISO on a node's storage; one of the same name is replaced."""
    checksum = {"checksum-algorithm": "sha256", "checksum": hashlib.sha256(data).hexdigest()}
    upid = client.upload(
        f"/nodes/{node}/storage/{storage}/upload", {"content": "iso", **checksum}, _NamedBytes(name, data)
    )
    tasks.wait(client, upid, limit=_FILE_LIMIT)


def delete_volume(client: Client, node: str, volid: str) -> None:
    """Proxmox calls it done when the volume is not there."""
    storage = volid.split(":", 1)[0]
    upid = client.delete(f"/nodes/{node}/storage/{storage}/content/{volid}")
    tasks.wait(client, upid, limit=_FILE_LIMIT)


def shared(
    client: Client, environment: Environment, nodes: list[str], unreached: Collection[str] = ()
) -> bool:
    """Whether the image storage is one for all nodes; with one node that is not asked. `unreached`: those that are off."""
    reached = [node for node in nodes if node not in unreached]
    if len(nodes) < 2 or not reached:
        return False
    status = client.get(f"/nodes/{reached[0]}/storage/{environment.proxmox.image_storage}/status")
    return bool(status.get("shared"))
