"""Storages and the volumes on them. What Proxmox calls /var/lib/vz is a folder of the lab's state."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve import mishap
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.images import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootstrap.lab.pve.state import Store

FOLDERS = {
    "iso": "template/iso",
    "import": "import",
    "vztmpl": "template/cache",
    "snippets": "snippets",
    "backup": "dump",
}
EXTENSIONS = {
    "iso": r"\.(iso|img)",
    "import": r"\.(ova|qcow2|raw|vmdk)",
    "vztmpl": r"\.(tar(\.(gz|xz|zst|bz2))?|tgz)",
}
FILE_TYPES = ("dir", "nfs", "cifs", "btrfs", "cephfs")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_text(size: int) -> str:
    """The largest unit that divides the size."""
    for unit in ("T", "G", "M", "K"):
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return str(size)


def size_of(text: str, *, default_unit: str = "") -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not found:
        raise ValueError(text)
    return int(Fraction(found[1]) * UNITS[found[2] or default_unit])


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A storage as the cluster's configuration has it; `path` is what Proxmox shows."""

    storage: str
    type: str
    content: str
    path: str
    shared: int = 0
    disable: int = 0

    @property
    def contents(self) -> list[str]:
        return self.content.split(",")

    @property
    def holds_files(self) -> bool:
        return self.type in FILE_TYPES


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume's name on its storage (`iso/x.iso`, `120/vm-120-disk-0.raw`), its file, and whose it is."""

    storage: Storage
    name: str
    kind: str
    file: Path
    vmid: int | None = None

    @property
    def volid(self) -> str:
        return f"{self.storage.storage}:{self.name}"

    @property
    def shown_path(self) -> str:
        folder = FOLDERS.get(self.kind, "images")
        return f"{self.storage.path}/{folder}/{self.name if self.vmid else self.name.partition('/')[2]}"

    @property
    def format(self) -> str:
        return self.file.suffix.lstrip(".") or "raw"

    def size(self) -> int:
        """What the machine sees; the lab's own disks are sparse files of that length whatever their name says."""
        return self.file.stat().st_size if self.vmid else inspect(self.file).size

    def listed(self) -> dict[str, Any]:
        stat = self.file.stat()
        shown = {
            "volid": self.volid,
            "content": self.kind,
            "format": self.format,
            "size": stat.st_size,
            "ctime": int(stat.st_mtime),
        }
        if self.vmid:
            return shown | {"vmid": self.vmid, "used": stat.st_blocks * 512, "parent": None}
        return shown | ({"format": "iso"} if self.kind == "iso" else {})


class Storages:
    """All storages; `nodes` have their own copy of each that is not shared."""

    def __init__(self, store: Store, root: Path) -> None:
        self._store = store
        self._root = root
        self.all: dict[str, Storage] = {
            name: Storage(**value) for name, value in store.load("storage").items()
        }

    def define(self, storage: Storage) -> None:
        self.all[storage.storage] = storage
        self._store.put("storage", storage.storage, asdict(storage))

    def get(self, name: str) -> Storage:
        if name not in self.all:
            raise Fault(500, f"storage '{name}' does not exist")
        return self.all[name]

    def digest(self) -> str:
        text = json.dumps([asdict(storage) for storage in self.all.values()])
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def folder(self, node: str, storage: Storage) -> Path:
        return self._root / ("shared" if storage.shared else node) / storage.storage

    def volume(self, node: str, volid: str) -> Volume:
        """The volume of this name, there or not."""
        name, _, rest = volid.partition(":")
        storage = self.get(name)
        folder = self.folder(node, storage)
        kind, _, file = rest.partition("/")
        if (
            kind in FOLDERS
            and file not in (".", "..")
            and re.fullmatch(f"(?i)[^/]+{EXTENSIONS.get(kind, '')}", file)
        ):
            return Volume(storage=storage, name=rest, kind=kind, file=folder / FOLDERS[kind] / file)
        if kind in FOLDERS:
            raise Fault(500, f"unable to parse directory volume name '{rest}'")
        owned = re.fullmatch(r"(?:(\d+)/)?((?:vm|base)-(\d+)-[\w.-]+)", rest)
        if not owned:
            raise Fault(500, f"unable to parse directory volume name '{rest}'")
        vmid = int(owned[3])
        return Volume(
            storage=storage,
            name=rest,
            kind="images",
            file=folder / "images" / str(vmid) / owned[2],
            vmid=vmid,
        )

    def existing(self, node: str, volid: str) -> Volume:
        volume = self.volume(node, volid)
        if volume.storage.disable:
            raise Fault(500, f"storage '{volume.storage.storage}' is disabled")
        if not volume.file.exists():
            raise Fault(500, f"volume '{volid}' does not exist")
        return volume

    def volumes(self, node: str, storage: Storage) -> Iterator[Volume]:
        folder, name = self.folder(node, storage), storage.storage
        for kind, place in sorted(FOLDERS.items()):
            if kind in storage.contents and (folder / place).is_dir():
                for file in sorted((folder / place).iterdir()):
                    if re.fullmatch(f"(?i)[^/]+{EXTENSIONS.get(kind, '')}", file.name):
                        yield self.volume(node, f"{name}:{kind}/{file.name}")
        for file in sorted((folder / "images").glob("*/*")):
            yield self.volume(
                node, f"{name}:{file.parent.name + '/' if storage.holds_files else ''}{file.name}"
            )

    def unused(self, node: str, storage: Storage, vmid: int, form: str) -> Volume:
        """The name of the machine's next disk: its lowest free number."""
        folder = self.folder(node, storage) / "images" / str(vmid)
        taken = {file.stem for file in folder.glob("*")}
        number = next(number for number in range(1 << 16) if f"vm-{vmid}-disk-{number}" not in taken)
        name = f"vm-{vmid}-disk-{number}"
        return self.volume(
            node, f"{storage.storage}:{f'{vmid}/{name}.{form}' if storage.holds_files else name}"
        )

    @staticmethod
    def create(volume: Volume, size: int, form: str) -> None:
        """Makes the disk, sparse."""
        volume.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            mishap.room()
            with volume.file.open("xb") as file:
                file.truncate(size)
        except (OSError, OverflowError) as error:
            volume.file.unlink(missing_ok=True)
            why = f"The image size is too large for file format '{form}'"
            if isinstance(error, OSError) and error.errno not in (errno.EFBIG, errno.EINVAL):
                why = error.strerror or str(error)
            raise Fault(500, f"unable to create image: qemu-img: {volume.shown_path}: {why}") from error

    def free(self, node: str, volid: str) -> bool:
        """Removes the volume's file; whether there was one."""
        volume = self.volume(node, volid)
        there = volume.file.exists()
        volume.file.unlink(missing_ok=True)
        if volume.vmid and volume.file.parent.is_dir() and not any(volume.file.parent.iterdir()):
            volume.file.parent.rmdir()
        return there
