"""A chart's repository is asked for the digest of what is pinned, over HTTP on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootstrap.charts import digests, findings
from bootstrap.config.software import Chart

INDEX = """apiVersion: v1
entries:
  metallb:
  - apiVersion: v2
    appVersion: v0.16.1
    dependencies:
    - condition: crds.enabled
      name: crds
      version: 0.9.9
    description: |-
      digest: of nothing
    digest: aa11
    name: metallb
    urls:
    - https://charts.home.arpa/metallb-0.16.1.tgz
    version: 0.16.1
  - digest: bb22
    name: metallb
    version: "0.16.0"
generated: "2026-11-01T00:00:00Z"
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.yaml").write_text(INDEX)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def chart(repository: str, version: str, sha256: str) -> Chart:
    """Unchecked, because a real pin's address is https."""
    return Chart.model_construct(repository=repository, name="metallb", version=version, sha256=sha256)


def test_an_index_is_read_without_its_dependencies() -> None:
    assert digests(INDEX.encode().splitlines()) == {
        ("metallb", "0.16.1"): "aa11",
        ("metallb", "0.16.0"): "bb22",
    }


@pytest.mark.parametrize(
    ("version", "sha256", "state", "said"),
    [
        ("0.16.1", "aa11", "ok", "has it with the pinned digest"),
        ("0.16.0", "aa11", "fail", "says digest bb22, the pin aa11"),
        ("0.17.0", "aa11", "fail", "has no such version"),
    ],
)
def test_a_pin_is_compared_with_the_repository(
    repository: str, version: str, sha256: str, state: str, said: str
) -> None:
    (finding,) = findings([chart(repository, version, sha256)])
    assert finding.state == state
    assert said in finding.text
    assert finding.place == f"chart metallb {version}"


def test_a_repository_that_is_not_reached_is_a_warning(repository: str) -> None:
    there_not, refused = findings(
        [chart(f"{repository}/elsewhere", "0.16.1", "aa11"), chart("http://127.0.0.1:9", "0.16.1", "aa11")]
    )
    assert (there_not.state, refused.state) == ("warn", "warn")
    assert "could not be read: HTTPError" in there_not.text
    assert "could not be read: ConnectionError" in refused.text
