"""The journal and the lock of a run, where they cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bootstrap import runlock
from bootstrap.errors import RzpError
from bootstrap.journal import Journal


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_run_that_has_begun_is_not_stopped_by_a_full_disk(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        journal = Journal(tmp_path / "run.jsonl", full)

        journal.write("step", subject="demo-agent-1")
        journal.close()

    assert journal.fault == os.strerror(errno.ENOSPC)


def test_before_the_first_change_a_folder_that_cannot_be_written_is_one_line_with_the_fix(
    state: Path,
) -> None:
    (state / "rzp-infra").write_text("not a folder")

    for begin in (lambda: Journal.open("demo"), runlock.held("demo").__enter__):
        with pytest.raises(RzpError, match=r"^\S+/rzp-infra\S*: Not a directory; .* or set XDG_STATE_HOME"):
            begin()


def test_who_comes_second_is_told_who_was_first(state: Path) -> None:
    with runlock.held("demo"):
        with pytest.raises(RzpError, match=rf"demo: another run \(pid {os.getpid()}, since \d\d:"):
            runlock.held("demo").__enter__()
        assert (state / "rzp-infra/runs/demo/lock").stat().st_mode & 0o777 == 0o600
    with runlock.held("demo"):
        pass
