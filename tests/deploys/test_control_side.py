"""What the deploys do on the control side: the kubeconfig, and the question whether the revision was pushed."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from bootstrap.kubernetes.kubeconfig import Kubeconfig
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
    user = {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}
    assert document["users"][0] == {"name": "rzp-test", "user": user}
    assert document["current-context"] == "rzp-test"


def test_status_reads_the_kubeconfig_that_the_deploy_writes(
    settings: Settings, tmp_path: Path, admin: str
) -> None:
    target = tmp_path / "test.kubeconfig"
    kubeconfig.write(target, settings, admin)

    read = Kubeconfig.read(target)

    assert (read.server, read.authority, read.certificate, read.key) == (
        "https://192.0.2.20:6443",
        "CA",
        b"CERT",
        b"KEY",
    )


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
    """A repository with a branch of two commits and a tag."""
    path = tmp_path / "repository"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example"]
    for words in (
        ["init", "-q", "-b", "main", str(path)],
        ["-C", str(path), *identity, "commit", "-q", "--allow-empty", "-m", "first"],
        ["-C", str(path), *identity, "commit", "-q", "--allow-empty", "-m", "second"],
        ["-C", str(path), *identity, "tag", "-a", "v1", "-m", "v1"],
    ):
        subprocess.run(["git", *words], check=True, timeout=30)
    return path


def _fault(rzp: dict[str, Any], address: str, revision: str) -> str | None:
    rzp["gitops"] |= {"repository": address, "revision": revision}
    return repository.fault(Settings.parse(rzp))


def _commit(repository: Path, revision: str) -> str:
    words = ["git", "-C", str(repository), "rev-parse", revision]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.mark.parametrize("revision", ["main", "v1", "refs/heads/main"])
def test_a_revision_that_was_pushed_is_found(rzp: dict[str, Any], pushed: Path, revision: str) -> None:
    assert _fault(rzp, pushed.as_uri(), revision) is None


@pytest.mark.parametrize("revision", ["main", "main~1"], ids=["the newest", "an older"])
def test_a_commit_that_was_pushed_is_found(
    rzp: dict[str, Any], pushed: Path, revision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert _fault(rzp, pushed.as_uri(), _commit(pushed, revision)) is None
    assert list(temporary.iterdir()) == []


def test_an_older_commit_is_found_where_single_commits_are_not_handed_out(
    rzp: dict[str, Any], pushed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do servers that speak git's first protocol only."""
    for key, value in {"COUNT": "1", "KEY_0": "protocol.version", "VALUE_0": "0"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    assert _fault(rzp, pushed.as_uri(), _commit(pushed, "main~1")) is None
    assert "push first" in str(_fault(rzp, pushed.as_uri(), "0123456789" * 4))


@pytest.mark.parametrize("revision", ["feature", "0123456789" * 4])
def test_a_revision_that_was_not_pushed_is_one_line(rzp: dict[str, Any], pushed: Path, revision: str) -> None:
    fault = _fault(rzp, pushed.as_uri(), revision)
    assert fault is not None
    assert f"has no revision {revision}" in fault
    assert "; push first: git push" in fault
    assert len(fault.splitlines()) == 1


# --- the credential


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary-key\n-----END OPENSSH PRIVATE KEY-----"
SPY = """#!/bin/sh
# stands for ssh: notes what it was given, then serves the repository itself
{ echo "$*"; for word; do case $word in */key) stat -c '%a' "$word"; cat "$word";; esac; done; } >> "$SPY_LOG"
for command; do :; done
exec sh -c "$command"
"""


@pytest.fixture
def spied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `ssh` was called with."""
    log, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(SPY)
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SPY_LOG", str(log))
    return log


def test_over_ssh_only_the_key_of_the_secrets_is_used_and_nothing_of_it_stays(
    rzp: dict[str, Any], pushed: Path, spied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_SECRET_GITOPS_SSH_KEY", KEY)
    rzp["gitops"]["credential"] = True
    assert _fault(rzp, f"ssh://git@git.example{pushed}", "main") is None
    words, mode, *key = spied.read_text().splitlines()
    for option in ("-F none", "BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none"):
        assert option in words
    assert "canary" not in words
    assert (mode, key) == ("600", KEY.splitlines())
    file = next(Path(word) for word in words.split() if word.endswith("/key"))
    assert not file.parent.exists()


def test_over_ssh_without_a_credential_the_operators_own_way_in_is_used(
    rzp: dict[str, Any], pushed: Path, spied: Path
) -> None:
    assert _fault(rzp, f"ssh://git@git.example{pushed}", "main") is None
    assert "-F" not in spied.read_text()
    assert "-i" not in spied.read_text().split()


class _Asking(BaseHTTPRequestHandler):
    """Wants a password, and then has nothing."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(404 if self.seen[-1] else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_over_http_the_password_of_the_secrets_is_used(
    rzp: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_SECRET_GITOPS_USERNAME", "reader")
    monkeypatch.setenv("RZP_SECRET_GITOPS_PASSWORD", "canary-password")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rzp["gitops"]["credential"] = True
    with HTTPServer(("127.0.0.1", 0), _Asking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fault = _fault(rzp, f"http://127.0.0.1:{server.server_port}/x.git", "main")
        server.shutdown()
    assert fault is not None
    assert "canary" not in fault
    assert base64.b64decode(_Asking.seen[-1].removeprefix("Basic ")) == b"reader:canary-password"


def test_a_repository_that_is_not_there_is_one_line(rzp: dict[str, Any], tmp_path: Path) -> None:
    fault = _fault(rzp, (tmp_path / "nothing").as_uri(), "main")
    assert fault is not None
    assert "cannot be read" in fault
    assert len(fault.splitlines()) == 1
