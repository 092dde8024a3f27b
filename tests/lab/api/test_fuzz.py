"""Nonsense on every endpoint and on the wire: the lab refuses it in Proxmox's words, and neither crashes nor leaks.

`make test` sends 2,000 requests, `make test-all` 20,000. The seed is printed; RZP_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import collections
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from bootstrap.lab.pve.fault import SERVER_ERRORS
from tests.lab.api.nonsense import BASE, Nonsense

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("RZP_FUZZ_SEED", "20261124"))


class Wire:
    """One request, one answer: the status, 0 when the connection was closed without one, and the body."""

    def __init__(self, endpoint: dict[str, Any], state: Path) -> None:
        self._port = int(endpoint["url"].rpartition(":")[2])
        self._tls = ssl.create_default_context(cafile=str(state / "tls.pem"))
        self._tls.check_hostname = False
        self._session: ssl.SSLSession | None = None

    def send(self, request: bytes, patience: float = 20.0) -> tuple[int, bytes]:
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=20) as plain,
            self._tls.wrap_socket(plain, session=self._session) as one,
        ):
            try:
                one.sendall(request)
                one.settimeout(patience)
                answer = b""
                while chunk := one.recv(1 << 16):
                    answer += chunk
                    if _whole(answer):
                        break
            except (ConnectionError, ssl.SSLError):
                return 0, b""
            except TimeoutError:
                assert patience < 1, ("no answer", request[:2000])
                return 0, b""
            self._session = one.session
        found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        return (int(found[1]) if found else 0), answer.partition(b"\r\n\r\n")[2]


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(found) and length is not None and len(body) >= int(length[1])


class Process:
    """The daemon, and what it holds."""

    def __init__(self, state: Path, plan: dict[str, Any]) -> None:
        state.mkdir()
        (state / "plan.json").write_text(json.dumps(plan))
        self._log = (state / "daemon.log").open("w")
        command = [sys.executable, "-m", "bootstrap.lab.daemon", str(state)]
        self._process = subprocess.Popen(command, stderr=self._log, stdout=self._log)
        while not (state / "endpoint.json").exists():
            assert self._process.poll() is None, (state / "daemon.log").read_text()
            time.sleep(0.02)
        self.state, self.endpoint = state, json.loads((state / "endpoint.json").read_text())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return (self.state / "daemon.log").read_text()

    def holds(self) -> tuple[int, int]:
        """Open files, and memory in MiB."""
        proc = Path(f"/proc/{self._process.pid}")
        if not proc.is_dir():
            pytest.skip("what a process holds is read from /proc")
        found = re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())
        return len(list((proc / "fd").iterdir())), int(found[1]) >> 10 if found else 0

    def close(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        self._log.close()
        return self._process.returncode


@pytest.fixture
def process(tmp_path: Path, plan: dict[str, Any]) -> Iterator[Process]:
    made = Process(tmp_path / "lab", plan | {"nodes": ["pve1", "pve2"], "pace": 0, "statistics_interval": 0})
    yield made
    if made.alive:
        made.close()


def test_what_is_no_tls_is_hung_up_on(process: Process) -> None:
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 5000, b""):
        port = int(process.endpoint["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
            one.sendall(words)
            one.shutdown(socket.SHUT_WR)
            while one.recv(1 << 16):
                pass
    assert (
        Wire(process.endpoint, process.state).send(b"GET /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n")[0]
        == 401
    )
    assert process.close() == 0
    assert process.log() == ""


def _ticket(wire: Wire, password: str) -> dict[str, str]:
    body = urlencode({"username": "root@pam", "password": password})
    head = f"POST {BASE}/access/ticket HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    data = json.loads(wire.send((head + body).encode())[1])["data"]
    return {
        "Cookie": f"PVEAuthCookie={quote(data['ticket'])}",
        "CSRFPreventionToken": data["CSRFPreventionToken"],
    }


def _tasks(wire: Wire, ticket: dict[str, str], node: str) -> list[dict[str, Any]]:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "x", **ticket}.items())
    head = f"GET {BASE}/nodes/{node}/tasks?source=all&limit=100000 HTTP/1.1\r\n{lines}\r\n"
    return list(json.loads(wire.send(head.encode())[1])["data"])


def _send(process: Process, wire: Wire, nonsense: Nonsense, number: int) -> collections.Counter[int]:
    """Sends that many requests; how often each status came."""
    codes: collections.Counter[int] = collections.Counter()
    for _ in range(number):
        request, patience = nonsense.next()
        status, body = wire.send(request, patience)
        nonsense.learn(body)
        codes[status] += 1
        assert process.alive, request[:2000]
        assert status < 500 or status in SERVER_ERRORS, (status, request[:2000])
        assert b"got itself in trouble" not in body, (request[:2000], process.log()[-3000:])
    return codes


@pytest.mark.parametrize("number", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_nonsense_is_refused_and_leaves_nothing_behind(
    process: Process, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    began, wire = time.monotonic(), Wire(process.endpoint, process.state)
    ticket = _ticket(wire, process.endpoint["root_password"])
    nonsense = Nonsense(SEED, ticket, f"{process.endpoint['token_id']}={process.endpoint['token']}")
    codes = _send(process, wire, nonsense, number // 2)
    half = process.holds()
    codes += _send(process, wire, nonsense, number - number // 2)
    ends = [task["status"] for node in ("pve1", "pve2") for task in _tasks(wire, ticket, node)]
    files, memory = process.holds()
    with capsys.disabled():
        told = " ".join(f"{code}:{times}" for code, times in sorted(codes.items()))
        sys.stdout.write(
            f"\n{number} requests, seed {SEED}, {time.monotonic() - began:.0f} s, {len(ends)} tasks, codes {told}; "
            f"files {half[0]} → {files}, memory {half[1]} → {memory} MiB\n"
        )
    assert not [end for end in ends if end == "RUNNING" or re.match(r"\w+(Error|Exception)\b", end)]
    assert files <= half[0] + 3
    assert memory <= half[1] + 40
    assert process.close() == 0
    assert process.log() == ""
