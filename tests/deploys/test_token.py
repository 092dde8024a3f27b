"""The token: which ones are refused, and the two forms in which it is written."""

from __future__ import annotations

import pytest

from bootstrap.secrets import Secret
from deploys import token
from deploys.token import SecretError

REFUSED = {
    "the format of a bootstrap token breaks a cluster": (
        "fedcba.9876543210fedcba",
        "format of a bootstrap token",
    ),
    "the long form pins a CA that does not exist yet": (
        "K10" + "a" * 64 + "::server:secret",
        "password alone",
    ),
    "a colon would split it": ("user:0123456789abcdef", "password alone"),
    "a short one could be guessed from its checksum": ("short", "at least 16 characters"),
    "a blank would be cut": ("0123456789 abcdef", "without blanks"),
}


@pytest.mark.parametrize(("value", "words"), REFUSED.values(), ids=REFUSED)
def test_a_token_is_refused_without_being_told(
    value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_SECRET_K3S_TOKEN", value)
    with pytest.raises(SecretError, match=words) as raised:
        token.k3s_token("test")
    assert value not in str(raised.value)
    assert "rzp-bootstrap secrets set test k3s.token" in str(raised.value)


def test_a_missing_token_names_the_fix() -> None:
    with pytest.raises(SecretError, match=r"k3s\.token is not set"):
        token.k3s_token("test")


def test_who_joins_gets_the_ca_pinned_and_the_founder_the_password_alone(password: Secret) -> None:
    assert token.short(password).text == f"{password.reveal()}\n"
    assert token.pinned(password, "c" * 64).text == f"K10{'c' * 64}::server:{password.reveal()}\n"


def test_the_tokens_file_is_private_and_its_text_in_no_repr(password: Secret) -> None:
    file = token.short(password)
    assert (file.mode, file.secret) == (0o600, True)
    assert password.reveal() not in f"{file} {file!r} {[file]}"
