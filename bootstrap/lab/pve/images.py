"""What an image file says about itself: the header of qcow2, in as far as the lab reads and writes it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"QFI\xfb"
_HEAD = struct.Struct(
    ">4sIQIIQ"
)  # magic, version, backing file's offset and length, cluster bits, virtual size
_EXTERNAL_DATA = 1 << 2


@dataclass(frozen=True, kw_only=True)
class Image:
    """`size` is what a machine sees, in bytes."""

    format: str
    size: int
    backed: bool = False
    external: bool = False


def inspect(path: Path) -> Image:
    """Reads the header; whatever is no qcow2 is a raw image."""
    with path.open("rb") as file:
        head = file.read(104)
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return Image(format="raw", size=path.stat().st_size)
    _, version, backing, _, _, size = _HEAD.unpack_from(head)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 and len(head) >= 80 else 0
    return Image(format="qcow2", size=size, backed=backing != 0, external=bool(features & _EXTERNAL_DATA))


def blank(size: int, *, length: int = 0, backing: bytes = b"") -> bytes:
    """An empty qcow2 (version 3) of this virtual size, padded to `length` bytes."""
    cluster = 1 << 16
    tables = -(-size // (cluster * cluster // 8))
    head = _HEAD.pack(_MAGIC, 3, 112 if backing else 0, len(backing), 16, size)
    # encryption, level-1 size and offset, reference-count offset and clusters, snapshots, three feature sets, refcount order, length
    rest = struct.pack(">IIQQIIQQQQII", 0, tables, 3 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 104)
    first = (head + rest + bytes(8) + backing).ljust(cluster, b"\0")
    counts = struct.pack(">Q", 2 * cluster).ljust(cluster, b"\0") + struct.pack(">4H", 1, 1, 1, 1).ljust(
        cluster, b"\0"
    )
    return (first + counts + bytes(8 * tables)).ljust(length, b"\0")
