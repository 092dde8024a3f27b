"""The client: what it sends, what it repeats, what it trusts, and the one line that it says when something is wrong."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError

from bootstrap.errors import ProxmoxError, UnknownOutcome
from bootstrap.lab.pve import certificate
from bootstrap.secrets import Secret

OTHER_PIN = ":".join(["AB"] * 32)


def _refused() -> requests.ConnectionError:
    return requests.ConnectionError(NewConnectionError(HTTPSConnection("10.10.0.5"), "Connection refused"))


def _broken() -> requests.ConnectionError:
    return requests.ConnectionError("Connection aborted.")


def test_a_call_carries_the_token_and_values_as_proxmox_takes_them(script: Any, reply: Any) -> None:
    wire = script(reply("UPID"))

    assert (
        wire.client().post(
            "/nodes/pve1/qemu", {"onboot": True, "protection": False, "tag": None, "vmid": 120}
        )
        == "UPID"
    )

    (sent,) = wire.requests
    assert (sent.method, sent.url) == ("POST", "https://10.10.0.5:8006/api2/json/nodes/pve1/qemu")
    assert sent.body == "onboot=1&protection=0&vmid=120"
    assert sent.headers["Authorization"] == "PVEAPIToken=rzp@pve!infra=canary-secret"


def test_a_delete_has_its_values_in_the_query_and_no_body(script: Any, reply: Any) -> None:
    wire = script(reply("UPID"))

    wire.client().delete("/nodes/pve1/qemu/120", {"purge": True, "destroy-unreferenced-disks": True})

    assert wire.requests[0].url.endswith("/qemu/120?purge=1&destroy-unreferenced-disks=1")
    assert not wire.requests[0].body


def test_an_upload_puts_the_file_last_and_after_its_checksum(script: Any, reply: Any) -> None:
    wire = script(reply("UPID"))
    file = io.BytesIO(b"ISO")
    file.name = "rzp-x.iso"

    wire.client().upload(
        "/upload", {"content": "iso", "checksum-algorithm": "sha256", "checksum": "00"}, file
    )

    body = wire.requests[0].body
    parts = [
        body.index(part)
        for part in (b'"content"', b'"checksum-algorithm"', b'"checksum"', b'filename="rzp-x.iso"')
    ]
    assert parts == sorted(parts)


def test_every_kind_of_call_has_its_own_time_limit(script: Any, reply: Any) -> None:
    wire = script(reply())
    client = wire.client()
    client.get("/version")
    client.put("/x")
    client.upload("/upload", {}, io.BytesIO(b""))

    assert wire.timeouts == [(10, 40), (10, 60), (10, 900)]


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 595, "reason": "No route to host", "body": None},
        {"status": 596, "reason": "Connection timed out", "body": None},
        {"status": 500, "reason": "can't lock file '/var/lock/x.lck' - got timeout"},
        None,
    ],
)
def test_a_read_is_repeated(script: Any, reply: Any, trouble: dict[str, Any] | None) -> None:
    wire = script(_broken() if trouble is None else reply(**trouble), reply([1]))

    assert wire.client().get("/nodes") == [1]
    assert len(wire.requests) == 2


def test_a_connection_that_is_cut_in_its_handshake_is_no_matter_of_certificates(
    script: Any, reply: Any
) -> None:
    cut = MaxRetryError(HTTPSConnectionPool("10.10.0.5"), "/", SSLError(ssl.SSLEOFError(8, "EOF occurred")))
    wire = script(requests.exceptions.SSLError(cut), reply([1]))

    assert wire.client().get("/nodes") == [1]
    with pytest.raises(UnknownOutcome):
        script(requests.exceptions.SSLError(cut)).client().post("/nodes/pve1/qemu")


def test_a_read_is_not_repeated_for_ever(script: Any) -> None:
    wire = script(_broken())

    with pytest.raises(ProxmoxError):
        wire.client().get("/nodes")
    assert len(wire.requests) == 4


@pytest.mark.parametrize("status", [595, 596, 599, 0])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_write_without_an_answer_is_sent_once_and_its_outcome_is_unknown(
    script: Any, reply: Any, status: int, method: str
) -> None:
    wire = script(reply(status=status, reason="Connection timed out", body=None) if status else _broken())

    with pytest.raises(UnknownOutcome, match=f"{method.upper()} /nodes/pve1/qemu: .*run the command again"):
        getattr(wire.client(), method)("/nodes/pve1/qemu")
    assert len(wire.requests) == 1


def test_a_write_that_never_left_is_no_unknown_outcome(script: Any) -> None:
    wire = script(_refused())

    with pytest.raises(
        ProxmoxError, match=r"https://10.10.0.5:8006: Proxmox is not reached .*Connection refused"
    ) as caught:
        wire.client().post("/nodes/pve1/qemu")
    assert not isinstance(caught.value, UnknownOutcome)
    assert len(wire.requests) == 1


def test_a_write_that_never_left_is_sent_again_when_the_proxy_was_there_before(
    script: Any, reply: Any
) -> None:
    wire = script(reply([]), _refused(), _refused(), reply("made"))
    client = wire.client()
    client.get("/nodes")

    assert client.post("/nodes/pve1/qemu") == "made"
    assert len(wire.requests) == 4


def test_of_several_endpoints_the_first_that_answers_is_used(script: Any, reply: Any) -> None:
    wire = script(_refused(), reply("made"), reply("again"))
    client = wire.client(endpoints=("https://10.10.0.5:8006", "https://10.10.0.6:8006"))

    assert (client.post("/x"), client.get("/y")) == ("made", "again")
    assert client.url == "https://10.10.0.6:8006"
    assert [request.url.split("/")[2] for request in wire.requests] == [
        "10.10.0.5:8006",
        "10.10.0.6:8006",
        "10.10.0.6:8006",
    ]


def test_a_password_logs_in_once_and_sends_ticket_and_csrf_token(script: Any, reply: Any) -> None:
    wire = script(reply({"ticket": "PVE:rzp@pve:1:2=", "CSRFPreventionToken": "5:6"}), reply("done"))
    client = wire.client(token_name=None)
    client.get("/version")
    client.post("/x")

    assert [(r.method, r.path_url) for r in wire.requests] == [
        ("POST", "/api2/json/access/ticket"), ("GET", "/api2/json/version"), ("POST", "/api2/json/x"),
    ]  # fmt: skip
    assert "username=rzp%40pve&password=canary-secret" in wire.requests[0].body
    assert wire.requests[2].headers["Cookie"] == "PVEAuthCookie=PVE%3Arzp%40pve%3A1%3A2%3D"
    assert wire.requests[2].headers["CSRFPreventionToken"] == "5:6"


def test_a_second_factor_is_told_apart(script: Any, reply: Any) -> None:
    wire = script(reply({"ticket": "x", "CSRFPreventionToken": "y", "NeedTFA": 1}))

    with pytest.raises(ProxmoxError, match="second factor; use an API token"):
        wire.client(token_name=None).get("/version")


@pytest.mark.parametrize(
    ("status", "reason", "errors", "said"),
    [
        (401, "Authentication failed!", None, "secrets set staging proxmox.token"),
        (403, "Permission check failed (/vms/120, VM.Config.CPU)", None,
         "pveum acl modify /vms --roles RZPVM --users rzp@pve --tokens 'rzp@pve!infra'"),
        (403, "Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)", None, "--roles RZPImages"),
        (403, "Permission check failed", None, "rzp-bootstrap doctor staging"),
        (400, "Parameter verification failed.", {"cores": "value must have\na minimum"}, "(cores: value must have a minimum)"),
        (500, "storage 'x' does not exist", None, "correct proxmox.image_storage or disk_storage"),
        (500, "storage 'local' is not configured for content-type 'import'", None, "pvesm set STORAGE"),
        (500, "can't remove VM 120 - protection mode enabled", None, "--protection 0"),
        (500, "checksum mismatch (file change by other user?)", None, "somebody changed the VM"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_with_the_call_and_the_fix(
    script: Any, reply: Any, status: int, reason: str, errors: dict[str, str] | None, said: str
) -> None:
    wire = script(reply(status=status, reason=reason, body={"message": f"{reason}\n", "errors": errors}))

    with pytest.raises(ProxmoxError) as caught:
        wire.client().put("/nodes/pve1/qemu/120/config")

    text = str(caught.value)
    assert text.startswith(f"PUT /nodes/pve1/qemu/120/config: {status} {reason}")
    assert said in text
    assert "\n" not in text
    assert "canary" not in text
    assert caught.value.status == status


def test_credentials_do_not_follow_a_redirect(script: Any, reply: Any) -> None:
    class Redirect(reply):  # type: ignore[misc]
        def response(self, request: requests.PreparedRequest) -> requests.Response:
            found: requests.Response = super().response(request)
            found.headers["location"] = "https://elsewhere.test/"
            return found

    wire = script(Redirect(status=301, reason="Moved"))

    with pytest.raises(ProxmoxError, match=r"redirects to https://elsewhere\.test/"):
        wire.client().get("/version")
    assert len(wire.requests) == 1


def test_something_else_on_the_port_is_told(script: Any, reply: Any) -> None:
    with pytest.raises(ProxmoxError, match="not as a Proxmox API"):
        script(reply(body=None)).client().get("/version")


def test_each_thread_has_a_session_of_its_own(script: Any, reply: Any) -> None:
    client = script(reply()).client()
    sessions: list[Any] = []
    threads = [threading.Thread(target=lambda: sessions.append(client._session())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(map(id, sessions))) == 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """A TLS server that counts requests: its URL, its fingerprint, the requests."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.path)
            self.send_error(401, "Authentication failed!")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    file = certificate.ensure(tmp_path, ["pve1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hangs up in the handshake is what is tested here."""

        def finish_request(self, request: Any, address: Any) -> None:
            with context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, address)

    found = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{found.server_port}", certificate.fingerprint(file), seen
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.mark.parametrize("token_name", ["infra", None])
def test_with_a_wrong_fingerprint_the_server_sees_no_request(
    untouched_lab: Any, server: tuple[str, str, list[str]], token_name: str | None
) -> None:
    url, fingerprint, seen = server
    client = untouched_lab.client(endpoints=(url,), fingerprint=OTHER_PIN, token_name=token_name)

    with pytest.raises(ProxmoxError) as caught:
        client.post("/nodes/pve1/qemu")

    assert seen == []
    assert f"fingerprint is {fingerprint}, wanted is {OTHER_PIN}" in str(caught.value)
    with pytest.raises(ProxmoxError, match="401 Authentication failed"):
        untouched_lab.client(endpoints=(url,), fingerprint=fingerprint, token_name=token_name).get("/version")
    assert len(seen) == 1


def test_without_a_pin_the_systems_authorities_decide(
    untouched_lab: Any, server: tuple[str, str, list[str]]
) -> None:
    url, _, seen = server

    with pytest.raises(
        ProxmoxError, match=r"TLS: self.signed certificate; it was checked against the system's CAs"
    ):
        untouched_lab.client(endpoints=(url,), fingerprint=None).get("/version")
    assert seen == []


def test_a_ca_file_is_trust_enough(
    untouched_lab: Any, server: tuple[str, str, list[str]], tmp_path: Path
) -> None:
    url, _, seen = server
    client = untouched_lab.client(endpoints=(url,), fingerprint=None, ca_file=tmp_path / "tls.pem")

    with pytest.raises(ProxmoxError, match="401"):
        client.get("/version")
    assert len(seen) == 1


def test_proxies_and_netrc_of_the_environment_are_not_used(
    untouched_lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")

    assert untouched_lab.client().get("/version")["release"] == "9.2"


def test_a_wrong_token_is_one_line_with_the_fix(untouched_lab: Any) -> None:
    with pytest.raises(ProxmoxError) as caught:
        untouched_lab.client(secret=Secret("canary-secret")).get("/version")

    assert str(caught.value) == (
        "GET /version: 401 Authentication failed!; check the secret of token rzp@pve!infra:"
        " rzp-bootstrap secrets set demo proxmox.token (or RZP_PROXMOX_TOKEN)"
    )


def test_a_wrong_password_is_one_line_with_the_fix(untouched_lab: Any) -> None:
    client = untouched_lab.client(token_name=None, user="root@pam", secret=Secret("canary-secret"))

    with pytest.raises(ProxmoxError, match="401 authentication failure; check the password of root@pam"):
        client.get("/version")


def test_a_password_does_as_well_as_a_token(untouched_lab: Any) -> None:
    client = untouched_lab.root()

    assert client.get("/version")["release"] == "9.2"
    assert client.calls == [("POST", "/access/ticket"), ("GET", "/version")]
