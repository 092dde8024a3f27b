"""Looking at a port: a key, the wrong kind of key, silence, nobody."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bootstrap.sshprobe import SshProbe, fingerprint, same_key


def _ed25519() -> paramiko.PKey:
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode()))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _probe(listener: socket.socket) -> SshProbe:
    return SshProbe(port=listener.getsockname()[1], quick=0.5, patience=1.0)


def _serve(listener: socket.socket, key: paramiko.PKey) -> threading.Thread:
    def answer() -> None:
        connection, _ = listener.accept()
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())
        transport.join(5)
        transport.close()

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_the_host_key_is_read_without_a_login(listener: socket.socket) -> None:
    key = _ed25519()
    thread = _serve(listener, key)

    seen = _probe(listener).look("127.0.0.1")
    thread.join(10)

    assert seen.key == f"ssh-ed25519 {key.get_base64()}"
    assert fingerprint(seen.key) in seen.evidence
    assert same_key(seen.key, f"ssh-ed25519 {key.get_base64()} a comment")


def test_a_host_without_an_ed25519_key_is_not_ready(
    listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = _serve(listener, paramiko.RSAKey.generate(2048))

    seen = _probe(listener).look("127.0.0.1")
    thread.join(10)

    assert seen.key is None
    assert "shows no Ed25519 key yet" in seen.evidence
    assert capfd.readouterr().err == ""


def test_a_port_that_accepts_and_is_silent_is_not_ready(listener: socket.socket) -> None:
    seen = _probe(listener).look("127.0.0.1")

    assert seen.key is None
    assert "port" in seen.evidence


def test_a_closed_port_says_so(listener: socket.socket) -> None:
    probe = _probe(listener)
    assert probe.answers("127.0.0.1")
    listener.close()

    assert not probe.answers("127.0.0.1")
    assert probe.look("127.0.0.1").evidence.endswith("does not answer (Connection refused)")


def test_a_fingerprint_is_what_ssh_keygen_prints() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github"

    assert fingerprint(key) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
