"""A scripted transport: what a client sends is kept, what it gets is written down beforehand."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from bootstrap.proxmox.access import Access
from bootstrap.proxmox.session import Client
from bootstrap.proxmox.transport import Limits
from bootstrap.secrets import Secret


@dataclass(frozen=True)
class Reply:
    """One answer of Proxmox; `body` None: an empty one."""

    data: Any = None
    status: int = 200
    reason: str = "OK"
    body: Mapping[str, Any] | None = field(default_factory=dict)

    def response(self, request: requests.PreparedRequest) -> requests.Response:
        found = requests.Response()
        found.status_code, found.reason, found.url = self.status, self.reason, str(request.url)
        text = "" if self.body is None else json.dumps({"data": self.data, **self.body})
        found.raw = io.BytesIO(text.encode())
        found.request = request
        return found


class Script(BaseAdapter):
    """Answers in the order given; an exception is raised instead. The last one stands for all that follow."""

    def __init__(self, *replies: Reply | Exception) -> None:
        super().__init__()
        self.replies = list(replies)
        self.requests: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.requests.append(request)
        self.timeouts.append(options["timeout"])
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply.response(request)

    def close(self) -> None: ...

    def client(self, **access: Any) -> Client:
        values: dict[str, Any] = {
            "environment": "staging",
            "endpoints": ("https://10.10.0.5:8006",),
            "user": "rzp@pve",
            "token_name": "infra",
            "secret": Secret("canary-secret"),
            **access,
        }
        return Client(Access(**values), limits=Limits(first_pause=0.001), transport=lambda _: self)


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def script() -> type[Script]:
    return Script
