"""The README's commands: help, and a demo that cannot run here changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user, which needs root")


def _make(checkout: Path, *arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(checkout), *arguments],
        user=user,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_target(checkout: Path) -> None:
    said = _make(checkout, "help").stdout

    for target in (
        "demo",
        "test",
        "test-all",
        "unit",
        "lint",
        "docs",
        "docs-commands",
        "recording",
        "install",
        "lock",
        "clean",
    ):
        assert f"make {target} " in said


@needs_root
def test_the_demo_without_root_says_what_is_needed_and_changes_nothing(
    checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "Makefile").write_text((checkout / "Makefile").read_text())
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    before = sorted(tmp_path.rglob("*"))

    ran = _make(tmp_path, "demo", user=65534)

    assert ran.returncode == 1
    assert "needs Linux and root; nothing was changed" in ran.stdout
    assert "sudo make demo" in ran.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_the_lock_has_hashes_and_no_addresses(checkout: Path) -> None:
    lock = (checkout / "requirements.lock").read_text()
    pinned = [line for line in lock.splitlines() if "==" in line]

    assert "://" not in lock
    assert all(line.endswith("\\") for line in pinned)
    assert any(line.startswith("hatchling==") for line in pinned)


def test_ci_runs_the_readmes_test_command(checkout: Path) -> None:
    steps = (checkout / ".ci" / "run").read_text().splitlines()

    assert "make test" in steps
    assert "export RZP_REQUIRE_E2E=1" in steps
