"""Where the rules of bootstrap.lab.faults meet the requests: on the wire, and, through `CURRENT`, deep in the tasks that they start."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aiohttp import web

from bootstrap.errors import LabError
from bootstrap.lab import faults
from bootstrap.lab.pve import requestlog
from bootstrap.lab.pve.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bootstrap.lab.faults import FaultRule
    from bootstrap.lab.pve.requestlog import RequestLog

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BASE = "/api2/json"
CURRENT: ContextVar[FaultRule | None] = ContextVar("mishap", default=None)
"""The rule that the request in hand met; a task has the one of the request that started it."""


def met(kind: str) -> FaultRule | None:
    rule = CURRENT.get()
    return rule if rule and rule.kind == kind else None


def fail_task(*, line: int = 0, after: bool = False) -> None:
    """Raises at the place in a task that the rule names."""
    rule = met("task-fail")
    if rule and (rule.after, rule.step) == (after, 0 if after else line):
        raise Fault(500, rule.words)


def lock() -> str:
    """What locks the configuration, or nothing."""
    rule = met("locked")
    return rule.words if rule else ""


def room() -> None:
    """Raises what the kernel says when a disk is full."""
    if rule := met("storage-full"):
        raise OSError(errno.ENOSPC, rule.words)


class Mishaps:
    """The rules of one lab, with how often each was met. A daemon that comes back counts from zero."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._seen: tuple[int, int] | None = None
        self._rules: list[FaultRule] = []
        self._met: dict[str, int] = {}
        self._applied: dict[str, int] = {}
        self._dice: dict[str, random.Random] = {}

    def rules(self) -> list[FaultRule]:
        try:
            stat = os.stat(self._state / faults.FILE)  # noqa: PTH116 - on every request
        except FileNotFoundError:
            self._seen, self._rules = None, []
            return []
        if self._seen != (stat.st_ino, stat.st_mtime_ns):
            self._rules, self._seen = faults.read(self._state), (stat.st_ino, stat.st_mtime_ns)
        return self._rules

    def down(self, node: str) -> FaultRule | None:
        """The rule that keeps the node away."""
        found = (rule for rule in self.rules() if rule.kind == "node-down" and rule.path == f"/nodes/{node}")
        return next(found, None)

    def pick(self, method: str, path: str) -> list[FaultRule]:
        """The rules that this request meets: delays, and at most one other."""
        found: list[FaultRule] = []
        for rule in self.rules():
            if rule.kind != "node-down" and rule.fits(method, path) and self._applies(rule):
                found.append(rule)
                if rule.kind != "delay":
                    break
        return found

    def _applies(self, rule: FaultRule) -> bool:
        met = self._met[rule.id] = self._met.get(rule.id, 0) + 1
        applied = self._applied.get(rule.id, 0)
        if met <= rule.skip or (rule.count and applied >= rule.count):
            return False
        dice = self._dice.setdefault(rule.id, random.Random(rule.seed))  # noqa: S311 - reproducible on purpose
        if rule.probability < 1 and dice.random() >= rule.probability:
            return False
        self._applied[rule.id] = applied + 1
        return True

    def around(self, handler: Handler, log: RequestLog, first_node: str) -> Handler:
        """The handler with the rules before and behind it, and every request written down."""

        async def handle(request: web.Request) -> web.StreamResponse:
            path, peer = request.path.removeprefix(BASE), _peer(request)
            requestlog.begin()
            picked: list[FaultRule] = []
            response: web.StreamResponse | None = None
            try:
                down = self.down(first_node)
                picked = [down] if down else self.pick(request.method, path)
                response = await _endure(request, picked, handler)
            except ConnectionError:  # whoever asked hung up; nobody reads the answer
                _hang_up(request)
            except LabError as error:  # the file of the rules holds something else
                response = _instead(500, str(error))
            finally:
                log.note(request, response, peer, picked)
            return response or web.Response()

        return handle


async def _endure(
    request: web.Request, picked: list[FaultRule], handler: Handler
) -> web.StreamResponse | None:
    """The answer, or None when the connection was closed instead."""
    await asyncio.sleep(sum(rule.seconds for rule in picked if rule.kind == "delay"))
    rule = next((rule for rule in picked if rule.kind != "delay"), None)
    if rule and (rule.kind in ("drop-before", "node-down")):
        await _swallow(request)
        _hang_up(request)
        return None
    if rule and rule.kind == "status" and not rule.after:
        await _swallow(request)
        return _instead(rule.status, rule.words)
    token = CURRENT.set(rule)
    try:
        response = await handler(request)
    finally:
        CURRENT.reset(token)
    if rule and rule.kind == "status":
        return _instead(rule.status, rule.words)
    if rule and rule.kind == "drop-after":
        _hang_up(request)
        return None
    return response


def _peer(request: web.Request) -> str | None:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else None


async def _swallow(request: web.Request) -> None:
    """Takes the body in, as a proxy does before it knows; a server that leaves it lying keeps the connection open for it."""
    async for _ in request.content.iter_any():
        pass


def _hang_up(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


def _instead(status: int, reason: str) -> web.Response:
    """As pveproxy says it: without a body, and the connection is closed."""
    response = web.Response(status=status, reason=reason)
    response.force_close()
    return response
