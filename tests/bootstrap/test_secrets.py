"""Secrets: encrypted for recipients, opened by an identity, overridden by variables, never printed."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest

from bootstrap.errors import SecretsError
from bootstrap.secrets import Secret, Secrets, make_own_identity, variable

CANARY = "canary-4711-do-not-print"


def test_a_secret_prints_as_stars() -> None:
    secret = Secret(CANARY)

    assert CANARY not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == CANARY


def test_what_was_set_is_read_again_and_stands_nowhere_in_clear(project: Path) -> None:
    Secrets.open("staging", project).set({"proxmox.token": CANARY})

    assert Secrets.open("staging", project).require("proxmox.token").reveal() == CANARY
    for path in project.rglob("*"):
        assert path.is_dir() or CANARY not in path.read_text()


def test_the_first_write_makes_an_identity_that_only_its_owner_reads(project: Path) -> None:
    store = Secrets.open("staging", project)

    store.set({"a.b": "c"})

    assert store.identity_file.stat().st_mode & 0o777 == 0o600
    assert store.recipients_file.read_text().count("age1") == 1


def test_reading_writes_nothing(project: Path) -> None:
    before = sorted(project.rglob("*"))

    assert Secrets.open("staging", project).get("proxmox.token") is None

    assert sorted(project.rglob("*")) == before


def test_a_variable_overrides_and_needs_no_identity(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert variable("proxmox.token") == "RZP_SECRET_PROXMOX_TOKEN"
    assert variable("ssh.host-key-seed") == "RZP_SECRET_SSH_HOST_KEY_SEED"
    monkeypatch.setenv("RZP_SECRET_PROXMOX_TOKEN", CANARY)

    assert Secrets.open("staging", project).require("proxmox.token").reveal() == CANARY


def test_a_missing_secret_names_the_command_that_sets_it(project: Path) -> None:
    with pytest.raises(SecretsError, match=r"type: rzp-bootstrap secrets set staging proxmox.token"):
        Secrets.open("staging", project).require("proxmox.token")


def test_a_missing_identity_is_one_line_with_the_fix(project: Path) -> None:
    store = Secrets.open("staging", project)
    store.set({"a.b": "c"})
    store.identity_file.unlink()

    with pytest.raises(
        SecretsError, match=r"no age identity, so staging.age cannot be read; put an identity"
    ) as caught:
        Secrets.open("staging", project).get("a.b")
    assert "\n" not in str(caught.value)


def test_a_foreign_identity_is_one_line_with_the_fix(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Secrets.open("staging", project).set({"a.b": "c"})
    foreign = project / "foreign"
    foreign.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    monkeypatch.setenv("RZP_AGE_IDENTITY", str(foreign))

    with pytest.raises(SecretsError, match=r"this identity cannot open staging.age.*rekey staging") as caught:
        Secrets.open("staging", project).get("a.b")
    assert "\n" not in str(caught.value)


def test_a_second_recipient_reads_after_rekey(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Secrets.open("staging", project)
    store.set({"a.b": CANARY})
    other = pyrage.x25519.Identity.generate()
    (project / "other").write_text(f"{other}\n")
    with store.recipients_file.open("a") as stream:
        stream.write(f"{other.to_public()}  # the laptop\n")

    assert len(Secrets.open("staging", project).rekey()) == 2

    monkeypatch.setenv("RZP_AGE_IDENTITY", str(project / "other"))
    assert Secrets.open("staging", project).require("a.b").reveal() == CANARY


def test_an_environment_with_its_own_identity_shares_with_nobody(project: Path) -> None:
    make_own_identity("demo", project)
    store = Secrets.open("demo", project)

    store.set({"a.b": CANARY})

    assert store.identity_file == project / "inventories" / "demo.identity"
    assert not store.recipients_file.exists()
    assert Secrets.open("demo", project).require("a.b").reveal() == CANARY


def test_nobody_encrypts_what_they_cannot_read_again(project: Path) -> None:
    other = pyrage.x25519.Identity.generate()
    (project / "inventories" / "secrets" / "recipients").write_text(f"{other.to_public()}\n")

    with pytest.raises(SecretsError, match=r"your own recipient age1\w+ is missing; add it"):
        Secrets.open("staging", project).set({"a.b": "c"})


def test_a_damaged_file_is_named(project: Path) -> None:
    store = Secrets.open("staging", project)
    store.set({"a.b": "c"})
    store.file.write_text("not age")

    with pytest.raises(SecretsError, match=r"staging.age"):
        Secrets.open("staging", project).get("a.b")


def test_a_name_with_capitals_is_refused(project: Path) -> None:
    with pytest.raises(SecretsError, match="is no secret's name"):
        Secrets.open("staging", project).set({"Proxmox_Token": "x"})
