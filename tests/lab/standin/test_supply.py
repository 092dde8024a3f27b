"""Where the lab takes K3s and Argo CD from: a given file, the publisher, the cache, and only then a stand-in."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import LabError
from bootstrap.lab import supply
from bootstrap.lab.pve import site

K3S, MANIFEST = b"not a real k3s", b"kind: NotARealManifest\n"
CLOSED = "http://127.0.0.1:9"


def pin(content: bytes, url: str) -> dict[str, Any]:
    return {"version": "v1+x", "url": url, "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RZP_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RZP_ARGOCD_MANIFEST", raising=False)


@pytest.fixture
def pins() -> dict[str, dict[str, Any]]:
    return {"k3s": pin(K3S, f"{CLOSED}/k3s"), "argocd": pin(MANIFEST, f"{CLOSED}/install.yaml")}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """BASE/VERSION/FILE, as the deploys' mirrors have it."""
    (tmp_path / "mirror" / "v1+x").mkdir(parents=True)
    (tmp_path / "mirror" / "v1+x" / "install.yaml").write_bytes(MANIFEST)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_where_nothing_can_be_had_both_are_stand_ins_and_the_reason_is_said(
    pins: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    assert supply.gather(pins, said.append) == {}
    assert said[0] == "K3s: a stand-in, a test double (docs/verification.md); RZP_K3S_BINARY is not set"
    assert f"{CLOSED}/install.yaml cannot be fetched" in said[1]
    served = site.publish(tmp_path, "http://lab", None, {})
    assert {served[key]["version"][-8:] for key in ("k3s", "argocd")} == {"-standin"}


def test_the_manifest_is_fetched_once_verified_and_handed_out_with_its_own_pin(
    pins: dict[str, Any], said: list[str], mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_ARGOCD_MIRROR", mirror)
    found = supply.gather(pins, said.append)
    assert f"fetched from {mirror}/v1%2Bx/install.yaml" in said[-1]

    monkeypatch.setenv("RZP_ARGOCD_MIRROR", CLOSED)
    assert supply.gather(pins, said.append) == found, "the second time it comes from the cache"
    served = site.publish(tmp_path, "http://lab", None, found)
    assert served["argocd"] == {**pins["argocd"], "url": "http://lab/argocd-install.yaml"}
    assert (tmp_path / "argocd-install.yaml").read_bytes() == MANIFEST
    assert served["k3s"]["version"].endswith("-standin")


def test_a_fetched_file_that_is_not_the_pinned_one_is_not_used(
    pins: dict[str, Any], said: list[str], mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_ARGOCD_MIRROR", mirror)
    pins["argocd"]["sha256"] = "0" * 64

    assert supply.gather(pins, said.append) == {}
    assert "which is not the pinned one" in said[-1]
    assert not list((tmp_path / "cache").glob("*"))


def test_given_files_are_the_demos_pins(
    pins: dict[str, Any], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, content in (("RZP_K3S_BINARY", K3S), ("RZP_ARGOCD_MANIFEST", MANIFEST)):
        (tmp_path / variable).write_bytes(content)
        monkeypatch.setenv(variable, str(tmp_path / variable))

    served = site.publish(tmp_path, "http://lab", None, supply.gather(pins, said.append))

    assert served["k3s"] == {**pins["k3s"], "url": "http://lab/k3s"}
    assert served["argocd"]["sha256"] == pins["argocd"]["sha256"]


@pytest.mark.parametrize("content", [b"another", None], ids=["another file", "no file"])
@pytest.mark.parametrize("variable", ["RZP_K3S_BINARY", "RZP_ARGOCD_MANIFEST"])
def test_a_given_file_that_is_not_the_pinned_one_is_one_line(
    variable: str,
    content: bytes | None,
    pins: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    monkeypatch.setenv(variable, str(tmp_path / "given"))

    with pytest.raises(LabError, match=rf"^{variable}: .*given .*unset it$"):
        supply.gather(pins, lambda _: None)


def test_a_real_k3s_without_the_real_manifest_is_refused(
    pins: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k3s").write_bytes(K3S)
    monkeypatch.setenv("RZP_K3S_BINARY", str(tmp_path / "k3s"))

    with pytest.raises(LabError, match="set RZP_ARGOCD_MANIFEST"):
        supply.gather(pins, lambda _: None)
