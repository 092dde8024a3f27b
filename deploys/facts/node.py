"""The whole state of one host that the deploy compares with: one script, one remote command, one frozen value."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyinfra.api.facts import FactBase
from typing_extensions import override

from deploys import paths
from deploys.facts.disk import Disk, Root, disk, root
from deploys.facts.script import gathering

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploys.facts.questions import Questions


@dataclass(frozen=True)
class FileState:
    """A regular file; `text` is None where only the checksum was asked for."""

    mode: int
    owner: str
    sha256: str
    text: str | None = None


@dataclass(frozen=True)
class Unit:
    """Of `systemctl show`."""

    active: str = "inactive"
    file: str = ""
    reload_due: bool = False
    queued: bool = False

    @property
    def starting(self) -> bool:
        """On its way by itself: at boot, or between two tries."""
        return self.queued or self.active == "activating"


@dataclass(frozen=True)
class Node:
    """A host as it is. Where it was not `read` to the end, nothing that is absent here says anything."""

    read: bool = False
    files: Mapping[str, FileState] = field(default_factory=dict)
    exists: frozenset[str] = frozenset()
    units: Mapping[str, Unit] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    disks: Mapping[str, Disk] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    root: Root = field(default_factory=lambda: Root("unknown"))
    swaps: tuple[str, ...] = ()
    cloud_init: bool = False
    serving: bool = False

    def unit(self, name: str) -> Unit:
        return self.units.get(name, Unit())

    def sha256(self, path: str) -> str | None:
        found = self.files.get(path)
        return found.sha256 if found else None

    def text(self, path: str) -> str | None:
        found = self.files.get(path)
        return found.text if found else None

    @property
    def member(self) -> bool:
        """Holds etcd data: it is, or was, a member of a cluster."""
        return paths.ETCD_MEMBER in self.exists

    @property
    def started(self) -> dict[str, str]:
        """What the running K3s was started with: path → sha256."""
        lines = (line.split(maxsplit=1) for line in (self.text(paths.K3S_STARTED) or "").splitlines())
        return {path: digest for digest, path in lines}


class NodeState(FactBase[Node]):
    """Answers `questions` in one remote command."""

    @override
    def command(self, questions: Questions) -> str:
        return gathering(questions)

    @override
    @staticmethod
    def default() -> Node:
        return Node()

    @override
    def process(self, output: list[str]) -> Node:
        return parse(output)


def parse(lines: list[str]) -> Node:
    """The script's answers; lines that are none of ours (a login banner) are skipped."""
    answers: dict[str, list[list[str]]] = {}
    for line in lines:
        kind, *rest = line.split("\t")
        answers.setdefault(kind, []).append(rest)

    def of(kind: str) -> list[list[str]]:
        return answers.get(kind, [])

    return Node(
        read=bool(of("end")),
        files={path: _file(*rest) for path, *rest in of("file")},
        exists=frozenset(path for (path,) in of("exists")),
        units=_units([line for (line,) in of("unit")]),
        sysctls=dict(of("sysctl")),
        modules=frozenset(name for (name,) in of("module")),
        packages=frozenset(name for name, status in of("package") if status.startswith("ii")),
        disks={asked: disk(*rest) for asked, *rest in of("disk")},
        mounts=dict(of("mount")),
        root=next((root(*fields) for fields in of("root")), Root("unknown")),
        swaps=tuple(name for (name,) in of("swap")),
        cloud_init=bool(of("cloud-init")),
        serving=bool(of("serving")),
    )


def _file(mode: str, owner: str, kind: str, value: str) -> FileState:
    if kind == "sha256":
        return FileState(int(mode, 8), owner, value)
    raw = base64.b64decode(value)
    return FileState(int(mode, 8), owner, hashlib.sha256(raw).hexdigest(), raw.decode(errors="replace"))


def _units(lines: list[str]) -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    values: dict[str, str] = {}
    for line in [*lines, ""]:
        if line:
            key, _, value = line.partition("=")
            values[key] = value
        elif values:
            units[values["Id"]] = Unit(
                active=values.get("ActiveState", ""),
                file=values.get("UnitFileState", ""),
                reload_due=values.get("NeedDaemonReload") == "yes",
                queued=bool(int(values.get("Job") or 0)),
            )
            values = {}
    return units
