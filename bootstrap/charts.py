"""Do the charts' repositories still hand out what is pinned? Argo CD asks for a version and looks at no digest; we do.

A repository's index.yaml names the sha256 of each archive as `digest`. It can change under a version: Longhorn 1.12.1 was
deleted and published anew with another one (longhorn/longhorn, issue 13867).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import requests

from bootstrap.config.software import Chart
from bootstrap.doctor import Finding

SECONDS = 30
_FIX = "find out why before you sync; then pin what you want in bootstrap/config/pins.py"
# Helm writes an entry's keys one below the other; deeper ones belong to its dependencies.
_FIELD = re.compile(rb"^(?:  - |    )(name|version|digest): [\"']?([^\"'\s]+)")


def findings(charts: Iterable[Chart]) -> Iterator[Finding]:
    """One per chart; a repository that is not reached is a warning, because Argo CD may reach it all the same."""
    for chart in charts:
        place, address = f"chart {chart.name} {chart.version}", f"{chart.repository}/index.yaml"
        try:
            with requests.get(address, stream=True, timeout=SECONDS) as answer:
                answer.raise_for_status()
                digest = digests(answer.iter_lines()).get((chart.name, chart.version or ""))
        except requests.RequestException as error:
            yield Finding("warn", place, f"{address} could not be read: {type(error).__name__}")
            continue
        if digest == chart.sha256:
            yield Finding("ok", place, "its repository has it with the pinned digest")
        elif digest is None:
            yield Finding("fail", place, f"{address} has no such version", _FIX)
        else:
            yield Finding("fail", place, f"{address} says digest {digest}, the pin {chart.sha256}", _FIX)


def digests(lines: Iterable[bytes]) -> dict[tuple[str, str], str]:
    """Name and version → digest, of an index as Helm writes it. Read line by line: some have ten megabytes."""
    found: dict[tuple[str, str], str] = {}
    entry: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"  - "):
            entry = {}
        if match := _FIELD.match(line):
            entry[match[1].decode()] = match[2].decode()
            if len(entry) == 3:
                found[entry["name"], entry["version"]] = entry["digest"]
    return found
