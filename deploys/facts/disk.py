"""What is on the disks of a host: signatures, how far an ext4 reaches, and the partition that / lies on."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTOR = 512
"""Bytes; of all numbers below /sys, whatever the disk's own sectors are."""
TABLE = 33
"""Sectors at the end of a disk that growpart leaves to the second GPT."""
WORTH = 1 << 20
"""Bytes; up to so much more growpart calls NOCHANGE."""


@dataclass(frozen=True)
class Extent:
    """Of an ext4, by its superblock, in bytes: its blocks, and one group of them."""

    size: int
    group: int

    def room(self, device: int) -> int:
        """Bytes that it would gain on a device of this size.

        Less than a group is nothing: ext4 leaves a last group unused that is too small for its own tables, again and again.
        """
        spare = device - self.size
        return spare if spare >= self.group else 0


@dataclass(frozen=True)
class Disk:
    """What is on a block device of `size` bytes. `probe` is blkid's exit status: 0 something found, 2 nothing, else not readable."""

    device: str
    majmin: str
    probe: int
    tags: Mapping[str, str]
    signatures: tuple[str, ...]
    children: int
    size: int = 0
    extent: Extent | None = None

    @property
    def uuid(self) -> str | None:
        return self.tags.get("UUID") if "TYPE" in self.tags else None

    @property
    def room(self) -> int:
        """Bytes that its file system would gain."""
        return self.extent.room(self.size) if self.extent else 0

    @property
    def empty(self) -> bool:
        """True only if blkid, wipefs and lsblk agree that there is nothing."""
        return self.probe == 2 and not self.tags and not self.signatures and self.children == 0

    @property
    def content(self) -> str:
        """For an error: what was found."""
        tags = [f"{key}={self.tags[key]}" for key in ("TYPE", "PTTYPE", "LABEL", "UUID") if key in self.tags]
        parts = [f"{self.children} partitions"] if self.children else []
        return ", ".join([*tags, *parts, *self.signatures]) or f"unreadable (blkid status {self.probe})"


@dataclass(frozen=True)
class Root:
    """What / lies on; where that is no partition of a disk, `disk` is empty. Sizes are in bytes."""

    filesystem: str
    device: str = ""
    disk: str = ""
    number: int = 0
    size: int = 0
    behind: int = 0
    extent: Extent | None = None

    @property
    def gain(self) -> int:
        """Bytes that growpart would add to the partition."""
        return self.behind if self.behind > WORTH else 0

    @property
    def room(self) -> int:
        """Bytes that the file system would gain on the partition as it is."""
        return self.extent.room(self.size) if self.extent else 0


def disk(
    device: str, numbers: str, probe: str, tags: str, signatures: str, children: str, size: str, extent: str
) -> Disk:
    """From the fields of the script's line."""
    pairs = (line.split("=", 1) for line in _decoded(tags).splitlines() if "=" in line)
    # wipefs prints a heading
    found = [line.split()[-1] for line in _decoded(signatures).splitlines()[1:] if line.strip()]
    major, minor = (int(number, 16) for number in numbers.split(":"))
    return Disk(
        device=device,
        majmin=f"{major}:{minor}",
        probe=int(probe),
        tags={key: value for key, value in pairs if key != "DEVNAME"},
        signatures=tuple(found),
        children=int(children),
        size=int(size),
        extent=_extent(extent),
    )


def root(filesystem: str, *partition: str) -> Root:
    """From the fields of the script's line: of a partition its name, its disk's, its number, start and size, its disk's size,
    the starts of all partitions, and the extent."""
    if not partition:
        return Root(filesystem)
    name, whole, number, start, size, total, starts, extent = partition
    end = int(start) + int(size)
    limits = [int(total) - TABLE, *(other for other in map(int, starts.split()) if other >= end)]
    return Root(
        filesystem=filesystem,
        device=f"/dev/{name}",
        disk=f"/dev/{whole}",
        number=int(number),
        size=int(size) * SECTOR,
        behind=max(0, min(limits) - end) * SECTOR,
        extent=_extent(extent),
    )


def _extent(text: str) -> Extent | None:
    """From dumpe2fs' lines; none of them where there is no ext4."""
    lines = (line.split(":", 1) for line in _decoded(text).splitlines() if ":" in line)
    values = {key: int(value) for key, value in lines if value.strip().isdigit()}
    if not {"Block count", "Block size", "Blocks per group"} <= set(values):
        return None
    block = values["Block size"]
    return Extent(size=values["Block count"] * block, group=values["Blocks per group"] * block)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
