"""The lab answers what the real Proxmox VE answered, step by step, in the recorded flows."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bootstrap.lab.conformance.recording import served_files, start_plan
from bootstrap.lab.conformance.replay import Replay, Target

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS = os.environ.get("RZP_PVE_RECORDINGS")
INTERVAL = 0.6

# file: steps that match, of all
REACHED = {
    "01-bootstrap.pve8.4.21.json": (53, 53),
    "01-bootstrap.pve9.2.11.json": (53, 53),
    "02-create.pve8.4.21.json": (46, 46),
    "02-create.pve9.2.11.json": (46, 46),
    "04-destroy.pve8.4.21.json": (41, 42),  # step 17 shows a moment of the destruction that passes in the lab
    "03-change.pve9.2.11.json": (140, 140),
    "04-destroy.pve9.2.11.json": (42, 42),
}


@pytest.mark.skipif(
    not RECORDINGS, reason="RZP_PVE_RECORDINGS does not name the folder with the recorded flows"
)
@pytest.mark.parametrize("name", REACHED)
def test_the_lab_answers_as_recorded(
    name: str,
    tmp_path: Path,
    start_lab: Callable[[dict[str, Any]], dict[str, Any]],
    serve_files: Callable[[dict[str, bytes]], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording = json.loads((Path(RECORDINGS or "") / "flows" / name).read_text())
    endpoint = start_lab({**start_plan(recording), "pace": 0.08, "statistics_interval": INTERVAL})
    files = serve_files(served_files(recording))
    target = Target(
        url=endpoint["url"],
        storage=tmp_path / "lab" / "storage",
        root_password=endpoint["root_password"],
        files=files,
        interval=INTERVAL,
    )
    outcomes = Replay(recording, target).run()
    wrong = [outcome for outcome in outcomes if outcome.differences]
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {len(outcomes) - len(wrong)} of {len(outcomes)} steps match\n")
    told = "\n".join(
        f"{one.number} {one.request} ({one.note})\n    " + "\n    ".join(one.differences) for one in wrong
    )
    assert (len(outcomes) - len(wrong), len(outcomes)) == REACHED[name], told
