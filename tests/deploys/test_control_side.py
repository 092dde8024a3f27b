"""What the deploys do on the control side: the kubeconfig, and the question whether the revision was pushed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploys import kubeconfig, repository
from deploys.settings import Settings


@pytest.fixture
def source(admin: str) -> str:
    return hashlib.sha256(admin.encode()).hexdigest()


def test_the_kubeconfig_has_the_servers_address_and_our_context(settings: Settings, admin: str) -> None:
    document = yaml.safe_load(kubeconfig.rewritten(settings, admin))
    assert document["clusters"][0] == {
        "name": "rzp-test",
        "cluster": {"server": "https://192.0.2.20:6443", "certificate-authority-data": "Q0E="},
    }
    assert document["contexts"][0]["context"] == {"cluster": "rzp-test", "user": "rzp-test"}
    assert document["users"][0] == {"name": "rzp-test", "user": {"client-key-data": "S0VZ"}}
    assert document["current-context"] == "rzp-test"


def test_the_kubeconfig_is_written_private_and_known_again(
    settings: Settings, tmp_path: Path, admin: str, source: str
) -> None:
    target = tmp_path / "test.kubeconfig"
    assert not kubeconfig.is_current(target, settings, source)
    kubeconfig.write(target, settings, admin)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["test.kubeconfig"]
    assert kubeconfig.is_current(target, settings, source)


def test_the_kubeconfig_is_made_again_when_anything_about_it_changed(
    rzp: dict[str, Any], settings: Settings, tmp_path: Path, admin: str, source: str
) -> None:
    target = tmp_path / "test.kubeconfig"
    kubeconfig.write(target, settings, admin)
    assert not kubeconfig.is_current(target, settings, "0" * 64), "the server's file is another one"
    moved = Settings.parse(rzp | {"context": "rzp-other"})
    assert not kubeconfig.is_current(target, moved, source), "another context"
    target.chmod(0o644)
    assert not kubeconfig.is_current(target, settings, source), "readable by others"
    target.chmod(0o600)
    target.write_text(target.read_text() + "# edited\n")
    assert not kubeconfig.is_current(target, settings, source), "edited by hand"


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    """A repository with a branch and a tag."""
    path = tmp_path / "repository"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example"]
    for words in (
        ["init", "-q", "-b", "main", str(path)],
        ["-C", str(path), *identity, "commit", "-q", "--allow-empty", "-m", "first"],
        ["-C", str(path), *identity, "tag", "-a", "v1", "-m", "v1"],
    ):
        subprocess.run(["git", *words], check=True, timeout=30)
    return path


def _fault(rzp: dict[str, Any], address: str, revision: str) -> str | None:
    rzp["gitops"] |= {"repository": address, "revision": revision}
    return repository.fault(Settings.parse(rzp))


@pytest.mark.parametrize("revision", ["main", "v1", "refs/heads/main", "0123456789" * 4])
def test_a_revision_that_was_pushed_is_found(rzp: dict[str, Any], pushed: Path, revision: str) -> None:
    assert _fault(rzp, pushed.as_uri(), revision) is None


def test_a_revision_that_was_not_pushed_is_one_line(rzp: dict[str, Any], pushed: Path) -> None:
    fault = _fault(rzp, pushed.as_uri(), "feature")
    assert fault is not None
    assert "has no revision feature; push first: git push" in fault
    assert len(fault.splitlines()) == 1


def test_a_repository_that_is_not_there_is_one_line(rzp: dict[str, Any], tmp_path: Path) -> None:
    fault = _fault(rzp, (tmp_path / "nothing").as_uri(), "main")
    assert fault is not None
    assert "cannot be read" in fault
    assert len(fault.splitlines()) == 1
