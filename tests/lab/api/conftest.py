"""A lab in this process on free loopback ports, and a file server beside it."""

from __future__ import annotations

import contextlib
import gc
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ProxmoxAPI

from bootstrap.lab import faults
from bootstrap.lab.conformance.sandbox import running_lab, served
from bootstrap.lab.faults import FaultRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAN: dict[str, Any] = {
    "environment": "demo",
    "pve": "9.2",
    "nodes": ["pve1"],
    "storages": [
        {"storage": "local", "type": "dir", "content": "iso,import,vztmpl,backup,snippets", "shared": 0},
        {"storage": "vmdata", "type": "dir", "content": "images,rootdir", "shared": 0},
    ],
    "bridge": "vmbr0",
    "ipv4": {"network": "10.77.0.0/24", "gateway": "10.77.0.1"},
    "token_id": "rzp@pve!infra",
    "image_filename": "debian.qcow2",
    "image_storage": "local",
    "pace": 0.01,
}


@pytest.fixture
def plan() -> dict[str, Any]:
    return dict(PLAN)


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    with contextlib.ExitStack() as stack:
        yield lambda plan: stack.enter_context(running_lab(tmp_path / "lab", plan))[0]


@pytest.fixture
def lab(plan: dict[str, Any], start_lab: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """The endpoint's values of a running lab."""
    return start_lab(plan)


@contextlib.contextmanager
def as_root(endpoint: dict[str, Any], state: Path) -> Iterator[Any]:
    """The real client library as root@pam with a ticket."""
    api = ProxmoxAPI(
        endpoint["url"].removeprefix("https://"),
        user="root@pam",
        password=endpoint["root_password"],
        verify_ssl=str(state / "tls.pem"),
        timeout=10,
    )
    yield api
    api._store["session"].close()


def client(endpoint: dict[str, Any], state: Path) -> Any:
    user, _, token = endpoint["token_id"].partition("!")
    host = endpoint["url"].removeprefix("https://")
    verify = str(state / "tls.pem")
    return ProxmoxAPI(
        host, user=user, token_name=token, token_value=endpoint["token"], verify_ssl=verify, timeout=10
    )


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """The real client library for an endpoint."""
    made: list[Any] = []

    def make(endpoint: dict[str, Any]) -> Any:
        made.append(client(endpoint, tmp_path / "lab"))
        return made[-1]

    yield make
    for one in made:
        one._store["session"].close()
    gc.collect()  # an exception that a test kept keeps its connection open


@pytest.fixture
def api(lab: dict[str, Any], connect: Callable[[dict[str, Any]], Any]) -> Any:
    return connect(lab)


@pytest.fixture
def finish() -> Callable[..., tuple[str, list[str]]]:
    """Waits for a task: its exit status and log."""

    def wait(api: Any, upid: str, node: str = "pve1") -> tuple[str, list[str]]:
        task = api.nodes(node).tasks(upid)
        while (status := task.status.get())["status"] == "running":
            time.sleep(0.01)
        return status["exitstatus"], [line["t"] for line in task.log.get(limit=0)]

    return wait


@pytest.fixture
def serve_files(tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Serves files by HTTP from a free port; the base URL."""
    folder = tmp_path / "served"
    with served(folder) as base:

        def serve(files: dict[str, bytes]) -> str:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            return base

        yield serve


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """The recording with other VMIDs, node and storage names, everywhere."""
    if isinstance(value, dict):
        return {
            _renamed(key, names): int(names.get(str(part), part))
            if key == "vmid" and isinstance(part, int)
            else _renamed(part, names)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    if isinstance(value, str):
        for old, new in names.items():
            mark = rf"(?<![0-9A-Fa-f.]){old}(?![0-9A-Fa-f])" if old.isdigit() else rf"\b{old}\b"
            value = re.sub(mark, new, value)
    return value


@pytest.fixture(scope="session")
def renamed() -> Callable[[Any, dict[str, str]], Any]:
    """Gives a recording other VMIDs, node and storage names."""
    return _renamed


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def fault(state: Path) -> Callable[..., None]:
    """Sets one rule, in place of all others."""

    def put(method: str, path: str, kind: str, **values: Any) -> None:
        faults.write(state, [FaultRule(method=method, path=path, kind=kind, **values)])

    return put
