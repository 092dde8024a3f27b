"""The client against real TLS: who is trusted, how long it waits, and the sentence for each bad day."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import KubernetesError

NODES = "/api/v1/nodes"


@pytest.fixture
def closed() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def mute() -> Iterator[str]:
    """The URL of a server that lets connect and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


def refused(api: Any, path: str = NODES) -> KubernetesError:
    with pytest.raises(KubernetesError) as caught:
        api.get(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_admins_certificate_is_shown_and_the_answer_read(double: Any, api: Any) -> None:
    server = double(body={"items": []})

    assert api(server.url, server.tls).get(NODES) == {"items": []}
    assert server.asked == [(NODES, "admin")]


def test_a_proxy_of_the_environment_is_not_asked(
    double: Any, api: Any, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, closed.replace("https", "http"))
    server = double(body={"items": []})

    assert api(server.url, server.tls).get(NODES) == {"items": []}


def test_another_clusters_server_is_not_talked_to(
    double: Any, api: Any, authority: Callable[[str], Path]
) -> None:
    stranger = double(tls=authority("other"))
    own = double()

    said = str(refused(api(stranger.url, own.tls)))

    assert f"the Kubernetes API is not reached: {stranger.url} (its certificate is not trusted" in said
    assert "run the deploy again" in said
    assert stranger.asked == []


def test_a_name_that_the_certificate_does_not_hold_is_not_trusted(double: Any, api: Any) -> None:
    server = double()

    said = str(refused(api(server.url.replace("127.0.0.1", "localhost"), server.tls)))

    assert "its certificate is not trusted: Hostname mismatch" in said


def test_the_next_server_answers_for_one_that_is_off(double: Any, api: Any, closed: str) -> None:
    server = double(body={"items": []})
    client = api(closed, server.tls, server.url)

    assert client.get(NODES) == client.get("/api/v1/pods") == {"items": []}
    assert [path for path, _ in server.asked] == [NODES, "/api/v1/pods"]


def test_every_server_that_is_not_reached_is_named_with_its_reason(
    double: Any, api: Any, closed: str, mute: str
) -> None:
    said = str(refused(api(closed, double().tls, mute)))

    assert said.startswith(
        f"the Kubernetes API is not reached: {closed} (Connection refused), {mute} (no answer within 1 s); "
    )


def test_a_server_that_does_not_answer_is_not_waited_for(double: Any, api: Any) -> None:
    server = double(silent=threading.Event())

    assert "the Kubernetes API does not answer within 0.5 s" in str(refused(api(server.url, server.tls)))


def test_an_expired_certificate_of_ours_is_told_as_such(double: Any, api: Any) -> None:
    server = double()
    _expire(server.tls / "client-admin.crt", server.tls)

    said = str(refused(api(server.url, server.tls)))

    lost = "the connection broke before the answer" in said
    assert lost or "the API does not accept the kubeconfig's certificate" in said
    assert "run the deploy again, it fetches the present kubeconfig" in said


def _expire(certificate: Path, tls: Path) -> None:
    request = certificate.with_suffix(".csr")
    key = certificate.with_suffix(".key")
    subprocess.run(
        ["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=system:admin", "-out", str(request)],
        check=True,
        capture_output=True,
    )
    signer = ["-CA", str(tls / "server-ca.crt"), "-CAkey", str(tls / "server-ca.key"), "-CAcreateserial"]
    subprocess.run(
        ["openssl", "x509", "-req", "-in", str(request), *signer, "-days", "-1", "-out", str(certificate)],
        check=True,
        capture_output=True,
    )


STATUS = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, STATUS | {"message": "Unauthorized", "code": 401}, "the API does not accept the kubeconfig's"),
        (403, STATUS | {"message": "nodes is forbidden", "code": 403}, f"{NODES}: 403 nodes is forbidden"),
        (503, b"apiserver not ready\n", f"{NODES}: 503 apiserver not ready"),
        (500, b"", f"{NODES}: 500"),
        (200, b"<html>a router</html>", "answers, but not as a Kubernetes API"),
        (200, b"[]", "answers, but not as a Kubernetes API"),
    ],
    ids=["401", "403", "503", "500", "no JSON", "no object"],
)
def test_an_answer_that_is_none_becomes_one_line(
    double: Any, api: Any, status: int, body: Any, said: str
) -> None:
    server = double(status=status, body=body)

    error = refused(api(server.url, server.tls))

    assert said in str(error)
    assert error.status == status


def test_a_redirect_gets_nothing_of_ours(double: Any, api: Any) -> None:
    elsewhere = double(body={"items": []})
    server = double(status=302, redirect=f"{elsewhere.url}{NODES}")

    assert refused(api(server.url, server.tls)).status == 302
    assert elsewhere.asked == []
