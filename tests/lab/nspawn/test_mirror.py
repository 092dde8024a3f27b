"""The host's own Debian mirror is found in whatever shape its apt sources have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootstrap.errors import LabError
from bootstrap.lab.machines import mirror

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
# comment
Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb deb-src
# URIs: http://old.example/debian
URIs: http://mirror.example/debian http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
"""

CASES = {
    "one line": ("sources.list", "deb http://mirror.example/debian trixie main\n"),
    "one line with options": (
        "sources.list.d/a.list",
        "# deb http://old.example/debian trixie main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian sid main contrib\n",
    ),
    "after another vendor's": (
        "sources.list",
        "deb https://packages.example/apt tool-bookworm main\ndeb http://mirror.example/debian bookworm-updates main\n",
    ),
    "deb822": ("sources.list.d/debian.sources", DEB822),
}


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _no_mirror_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RZP_LAB_MIRROR", raising=False)


@pytest.mark.parametrize("case", CASES)
def test_the_mirror_is_found(case: str, tmp_path: Path) -> None:
    assert mirror.find(written(tmp_path, *CASES[case])) == "http://mirror.example/debian"


def test_a_file_of_mirrors_is_followed(tmp_path: Path) -> None:
    mirrors = tmp_path / "mirrors.list"
    mirrors.write_text("# chosen\nhttp://mirror.example/debian\tpriority:1\n")
    written(tmp_path, "sources.list", f"deb mirror+file:{mirrors} trixie main\n")
    assert mirror.find(tmp_path) == "http://mirror.example/debian"


@pytest.mark.parametrize(
    "text",
    ["", "deb http://archive.example/ubuntu noble main\n", "deb-src http://x.example/debian sid main\n"],
)
def test_where_there_is_none_the_error_names_the_variable(text: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="set RZP_LAB_MIRROR"):
        mirror.find(written(tmp_path, "sources.list", text))


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RZP_LAB_MIRROR", "http://named.example/debian")
    assert mirror.find(written(tmp_path, *CASES["one line"])) == "http://named.example/debian"
