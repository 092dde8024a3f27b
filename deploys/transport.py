"""An SSH transport without Nagle's algorithm: with it every remote command waits 40 ms for a delayed ACK."""

from __future__ import annotations

import socket
from typing import Any

import paramiko


def without_delay(sock: Any, **options: Any) -> paramiko.Transport:
    """Paramiko's `transport_factory`; through a jump host `sock` is a channel, which has no such option."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return paramiko.Transport(sock, **options)
