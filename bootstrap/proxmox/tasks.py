"""Tasks: what Proxmox does in the background. Waiting for one is bounded, and a failed one raises with its log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from bootstrap.errors import ProxmoxError, TaskFailed, WaitTimeout
from bootstrap.proxmox.faults import fix_for
from bootstrap.proxmox.session import Client

_GOOD = re.compile(r"^(OK|WARNINGS: \d+)$")
_TAIL = 5
# As long as the longest: a create with its import.
_EARLIER_LIMIT = 900.0
# Polls get slower: an end is seen late by at most this share of what the task took,
_LATE = 0.2
# and the pause between two stays below the 5 s after which the server closes the connection.
_SLOWEST = 2.0
# What a run of ours starts. The account may be a person's, too, with consoles that stay open and backups that take hours.
_OURS = frozenset(
    "qmcreate qmconfig qmstart qmstop qmshutdown qmdestroy resize imgcopy imgdel download".split()
)

Waiting = Callable[[str], None]


def wait(client: Client, upid: str | None, *, limit: float, waiting: Waiting = lambda _: None) -> None:
    """Return when the task has ended well. `upid` None: the call was already done. `limit`: seconds."""
    if upid is None:
        return
    what = _described(upid)
    waiting(f"{what}, at most {limit:.0f} s")
    client.waited_for[upid] = what
    result = _end(client, upid, what, limit)
    del client.waited_for[upid]
    if not _GOOD.match(result):
        raise _failed(client, upid, what, result)


def _end(client: Client, upid: str, what: str, limit: float) -> str:
    """The exit status."""
    began = time.monotonic()
    deadline = began + limit
    client.pause(client.limits.first_poll)
    while (status := _status(client, upid, deadline))["status"] != "stopped":
        if time.monotonic() > deadline:
            raise WaitTimeout(
                f"{what} has not ended within {limit:.0f} s; it goes on. Look at its log in Proxmox ({upid}) and run"
                f" the command again. Last lines: {' | '.join(_log(client, upid)) or 'none'}"
            )
        late = (time.monotonic() - began) * _LATE
        client.pause(min(max(late, client.limits.first_poll), _SLOWEST))
    return str(status.get("exitstatus", "no exit status"))


def settle(client: Client, node: str, vmid: int | None = None, waiting: Waiting = lambda _: None) -> None:
    """Wait for what an earlier run of ours has begun, on a VM or on the whole node; how it ends is judged from what is there then."""
    for upid in running(client, node, vmid).values():
        if upid.split(":")[5] in _OURS:
            with suppress(TaskFailed):
                wait(client, upid, limit=_EARLIER_LIMIT, waiting=waiting)


def running(client: Client, node: str, vmid: int | None = None) -> dict[str, str]:
    """Our own running tasks on a VM, or on a node: kind (with several, and the number) → UPID."""
    listed: list[dict[str, Any]] = client.get(f"/nodes/{node}/tasks", {"source": "active", "vmid": vmid})
    author = client.access.identity
    found: dict[str, str] = {}
    for task in listed:
        if str(task["upid"]).split(":")[7] == author and "endtime" not in task:
            kind = str(task["type"])
            found[kind if kind not in found else f"{kind} {len(found)}"] = str(task["upid"])
    return found


def _status(client: Client, upid: str, deadline: float) -> dict[str, Any]:
    """A task that was only just made may not be known yet."""
    while True:
        try:
            return dict(client.get(f"{_path(upid)}/status"))
        except ProxmoxError as error:
            if "no such task" not in str(error) or time.monotonic() > deadline:
                raise
        client.pause(0.5)


def _failed(client: Client, upid: str, what: str, result: str) -> TaskFailed:
    log = _log(client, upid)
    fix = fix_for(" ".join([result, *log]))
    return TaskFailed(f"{what} failed: {result}" + (f"; {fix}" if fix else ""), upid=upid, log=log)


def _log(client: Client, upid: str) -> list[str]:
    lines = client.get(f"{_path(upid)}/log", {"limit": 0})
    return [str(line["t"]).strip() for line in lines][-_TAIL:]


def _path(upid: str) -> str:
    # The id of a download task is a file name.
    return f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe=':@!')}"


def _described(upid: str) -> str:
    _, node, _, _, _, kind, target, *_ = upid.split(":")
    return f"task {kind}{f' {target}' if target else ''} on {node}"
