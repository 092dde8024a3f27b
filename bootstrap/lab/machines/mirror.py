"""Which Debian mirror the host uses: read from its own apt sources, so that none is named here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASES = re.compile(
    r"(bullseye|bookworm|trixie|forky|duke|sid|oldstable|stable|testing|unstable)(-updates)?$"
)
ONE_LINE = re.compile(r"deb\s+(?:\[[^]]*]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


def find(apt: Path = Path("/etc/apt")) -> str:
    """RZP_LAB_MIRROR, else the first archive that serves a Debian release's `main`."""
    if named := os.environ.get("RZP_LAB_MIRROR"):
        return named
    files = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]
    for file in files:
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        text = file.read_text()
        for uri in _deb822(text) if file.suffix == ".sources" else _one_line(text):
            return _resolved(uri)
    raise LabError(f"no Debian mirror in {apt}; set RZP_LAB_MIRROR to the address of one")


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        entry = ONE_LINE.match(line.strip())
        if entry and _serves([entry["suite"]], entry["components"].split()):
            yield entry["uri"]


def _deb822(text: str) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^(\S+?):[ \t]*(.*)$", "\n".join(lines), re.MULTILINE))
        if fields.get("Enabled", "yes") == "no" or "deb" not in fields.get("Types", "").split():
            continue
        if _serves(fields.get("Suites", "").split(), fields.get("Components", "").split()):
            yield from fields.get("URIs", "").split()[:1]


def _serves(suites: list[str], components: list[str]) -> bool:
    return "main" in components and any(RELEASES.match(suite) for suite in suites)


def _resolved(uri: str) -> str:
    """Cloud images of Debian name a file that holds the mirrors' addresses."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path(uri.removeprefix("mirror+file:")).read_text().split("\n")
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))
