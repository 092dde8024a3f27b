"""The lab answers what the real Proxmox VE answered, exchange by exchange, in the recorded flows."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bootstrap.lab.conformance.recording import Recording
from bootstrap.lab.conformance.report import Report, figures, replay

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS = Path(os.environ.get("RZP_PVE_RECORDINGS", "")) / "flows"
needs_recordings = pytest.mark.skipif(
    "RZP_PVE_RECORDINGS" not in os.environ,
    reason="RZP_PVE_RECORDINGS does not name the folder with the recorded flows",
)

# file: exchanges on served endpoints, how many of them match at least
REACHED = {
    "01-bootstrap.pve8.4.21.json": (53, 53),
    "01-bootstrap.pve9.2.11.json": (53, 53),
    "02-create.pve8.4.21.json": (46, 46),
    "02-create.pve9.2.11.json": (46, 46),
    "03-change.pve9.2.11.json": (140, 140),
    "04-destroy.pve8.4.21.json": (42, 41),  # step 17 shows a moment of the destruction that passes in the lab
    "04-destroy.pve9.2.11.json": (42, 42),
    "05-failures.pve9.2.11.json": (320, 320),
    "06-agent.pve9.2.11.json": (43, 41),  # the recorded agent was a pretended one, with programs of its own
}


def _told(report: Report) -> str:
    return "\n".join(report.lines())


@needs_recordings
@pytest.mark.parametrize("name", REACHED)
def test_the_lab_answers_as_recorded(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = replay(Recording.load(RECORDINGS / name), name)
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {figures([report])}\n")
    served, matched = REACHED[name]
    assert (report.served, report.seed_faults) == (served, ()), _told(report)
    assert report.matched >= matched, _told(report)


@needs_recordings
@pytest.mark.parametrize(
    "name", ["02-create.pve8.4.21.json", "03-change.pve9.2.11.json", "05-failures.pve9.2.11.json"]
)
def test_no_answer_hangs_on_a_recorded_name(name: str, renamed: Callable[[Any, dict[str, str]], Any]) -> None:
    names = {"120": "4711", "121": "4712", "122": "833", "126": "640"}
    names |= {"pve1": "hv7", "local": "shelf", "vmdata": "tank"}
    values = renamed(json.loads((RECORDINGS / name).read_text()), names)
    assert "tank:4711/vm-4711-disk-0" in json.dumps(values)
    report = replay(Recording(values), name)
    assert report.matched >= REACHED[name][1], _told(report)
