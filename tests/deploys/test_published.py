"""Published files: only the pinned bytes take a place. The commands run here, with curl and file:// addresses."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from pyinfra.api.command import FileUploadCommand, FunctionCommand, StringCommand

from deploys.published import placed, source
from deploys.settings import Published

GOOD, OLD = b"the pinned bytes", b"the old bytes"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to root")


@pytest.fixture
def pin(tmp_path: Path) -> Published:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "k3s").write_bytes(GOOD)
    url = (tmp_path / "release" / "k3s").as_uri()
    return Published(version="v1+k3s1", url=url, sha256=hashlib.sha256(GOOD).hexdigest())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "k3s"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def _fetch(pin: Published, target: Path) -> subprocess.CompletedProcess[str]:
    (command,) = placed(pin, str(target), 0o755, mirror="RZP_K3S_MIRROR", local="RZP_K3S_BINARY")
    assert isinstance(command, StringCommand)
    return subprocess.run(
        ["sh", "-c", command.get_raw_value()], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_pinned_file_takes_the_place_of_the_old_one(pin: Published, target: Path) -> None:
    assert _fetch(pin, target).returncode == 0
    assert target.read_bytes() == GOOD
    assert target.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in target.parent.iterdir()] == ["k3s"]


def test_a_file_with_another_checksum_leaves_the_good_one_and_says_so(pin: Published, target: Path) -> None:
    wrong = pin.model_copy(update={"sha256": "0" * 64})
    done = _fetch(wrong, target)
    assert done.returncode == 1
    assert "sha256 differs from the pinned 000" in done.stderr
    assert f"{target} is as it was" in done.stderr
    assert target.read_bytes() == OLD
    assert [path.name for path in target.parent.iterdir()] == ["k3s"]


def test_an_address_that_fails_leaves_the_good_one(pin: Published, target: Path) -> None:
    assert _fetch(pin.model_copy(update={"url": "file:///nowhere/k3s"}), target).returncode == 1
    assert target.read_bytes() == OLD
    assert [path.name for path in target.parent.iterdir()] == ["k3s"]


def test_a_mirror_holds_the_files_by_version(
    pin: Published, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "v1+k3s1").mkdir(parents=True)
    (mirror / "v1+k3s1" / "k3s").write_bytes(GOOD)
    monkeypatch.setenv("RZP_K3S_MIRROR", mirror.as_uri() + "/")
    assert source(pin, "RZP_K3S_MIRROR") == f"{mirror.as_uri()}/v1%2Bk3s1/k3s"
    assert _fetch(pin.model_copy(update={"url": "https://unreachable.example/k3s"}), target).returncode == 0
    assert target.read_bytes() == GOOD


def test_a_local_file_is_sent_to_a_temporary_name_and_verified_there(
    pin: Published, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_K3S_BINARY", str(tmp_path / "release" / "k3s"))
    upload, take = placed(pin, str(target), 0o755, mirror="RZP_K3S_MIRROR", local="RZP_K3S_BINARY")
    assert isinstance(upload, FileUploadCommand)
    assert upload.dest == f"{target}.rzp-new"
    assert "curl" not in str(take)
    assert pin.sha256 in str(take)


@pytest.mark.parametrize("content", [b"another release", None], ids=["another release", "no such file"])
def test_a_local_file_that_is_not_the_pinned_one_is_not_sent(
    pin: Published, target: Path, tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    if content is not None:
        given.write_bytes(content)
    monkeypatch.setenv("RZP_K3S_BINARY", str(given))
    (command,) = placed(pin, str(target), 0o755, mirror="RZP_K3S_MIRROR", local="RZP_K3S_BINARY")
    assert isinstance(command, FunctionCommand)
    assert str(given) in command.args[0]
