"""Where the API is and who we are there: environment, secrets and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.config.base import Environment
from bootstrap.config.proxmox import Proxmox
from bootstrap.errors import InvalidEnvironment, RzpError, SecretsError
from bootstrap.proxmox.access import Access, access
from bootstrap.secrets import Secrets

PIN = ":".join(["CD"] * 32)


@pytest.fixture
def secrets(project: Path, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    monkeypatch.setenv("RZP_SECRET_PROXMOX_TOKEN", "stored")
    return Secrets.open("staging", project)


def _access(
    proxmox: Proxmox, secrets: Secrets, variables: dict[str, str] | None = None, project: Path = Path()
) -> Access:
    return access(proxmox, secrets, project, variables or {})


def test_the_environment_and_its_token_are_used(staging: Environment, secrets: Secrets) -> None:
    found = _access(staging.proxmox, secrets)

    assert (found.endpoints, found.identity) == (("https://10.10.0.5:8006",), "rzp@pve!infra")
    assert (found.secret.reveal(), found.fingerprint) == ("stored", staging.proxmox.fingerprint)


@pytest.mark.parametrize(
    ("token", "identity", "secret"),
    [("given", "rzp@pve!infra", "given"), ("root@pam!lab=given", "root@pam!lab", "given")],
)
def test_variables_come_before_the_environment(
    staging: Environment, secrets: Secrets, token: str, identity: str, secret: str
) -> None:
    variables = {
        "RZP_PROXMOX_URL": "https://127.0.0.1:9/",
        "RZP_PROXMOX_TOKEN": token,
        "RZP_PROXMOX_FINGERPRINT": PIN.lower(),
    }

    found = _access(
        staging.proxmox.model_copy(update={"ca_file": Path("ca.pem"), "fingerprint": None}),
        secrets,
        variables,
    )

    assert (found.endpoints, found.fingerprint, found.ca_file) == (("https://127.0.0.1:9",), PIN, None)
    assert (found.identity, found.secret.reveal()) == (identity, secret)


def test_with_a_token_in_a_variable_no_identity_is_needed(staging: Environment, project: Path) -> None:
    secrets = Secrets.open("staging", project)
    secrets.file.write_text("not to be opened")

    assert _access(staging.proxmox, secrets, {"RZP_PROXMOX_TOKEN": "given"}).secret.reveal() == "given"


def test_a_password_is_used_where_there_is_no_token(
    staging: Environment, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_SECRET_PROXMOX_PASSWORD", "word")

    found = _access(staging.proxmox, Secrets.open("staging", project))

    assert (found.identity, found.token_name, found.secret.reveal()) == ("rzp@pve", None, "word")


def test_without_any_secret_the_fix_is_named(staging: Environment, project: Path) -> None:
    with pytest.raises(SecretsError, match=r"secrets set staging proxmox\.token"):
        _access(staging.proxmox, Secrets.open("staging", project))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RZP_PROXMOX_URL", "http://10.0.0.1"),
        ("RZP_PROXMOX_URL", "10.0.0.1:8006"),
        ("RZP_PROXMOX_FINGERPRINT", "AB:CD"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    staging: Environment, secrets: Secrets, variable: str, value: str
) -> None:
    with pytest.raises(InvalidEnvironment, match=f"{variable}: '{value}' cannot be used; write"):
        _access(staging.proxmox, secrets, {variable: value})


def test_a_ca_file_starts_at_the_project_and_must_exist(
    staging: Environment, secrets: Secrets, project: Path
) -> None:
    proxmox = staging.proxmox.model_copy(update={"fingerprint": None, "ca_file": Path("ca.pem")})

    with pytest.raises(RzpError, match=r"ca\.pem does not exist; copy /etc/pve/pve-root-ca\.pem"):
        _access(proxmox, secrets, project=project)
    (project / "ca.pem").touch()
    assert _access(proxmox, secrets, project=project).ca_file == project / "ca.pem"


def test_the_secret_is_not_in_the_representation(staging: Environment, secrets: Secrets) -> None:
    assert "stored" not in repr(_access(staging.proxmox, secrets))


@pytest.mark.parametrize("written", ["root@pam!lab=canary\r\n", " root@pam!lab=canary"])
def test_space_around_a_token_is_no_part_of_it(staging: Environment, secrets: Secrets, written: str) -> None:
    found = _access(staging.proxmox, secrets, {"RZP_PROXMOX_TOKEN": written})

    assert (found.identity, found.secret.reveal()) == ("root@pam!lab", "canary")


@pytest.mark.parametrize("written", ["can\rary", "can\nary", "can…ary"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(
    staging: Environment, secrets: Secrets, written: str
) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        _access(staging.proxmox, secrets, {"RZP_PROXMOX_TOKEN": written})

    assert str(caught.value).startswith("RZP_PROXMOX_TOKEN: it holds a space")
    assert written not in str(caught.value)
