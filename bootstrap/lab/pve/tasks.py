"""Tasks: work that goes on after the answer, its log and its end, and the UPID that names it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bootstrap.errors import RzpError
from bootstrap.lab.pve import mishap
from bootstrap.lab.pve.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bootstrap.lab.pve.access import Identity
    from bootstrap.lab.pve.state import Store

KILLED = "unexpected status"
KEPT = 10_000
"""How many tasks are remembered."""


@dataclass
class Task:
    """One task; `user` is the whole name, with the token's."""

    upid: str
    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str
    lines: list[str] = field(default_factory=list)
    exitstatus: str | None = None
    endtime: int | None = None

    def log(self, line: str) -> None:
        self.lines.append(line)
        if self.exitstatus is None:
            mishap.fail_task(line=len(self.lines))

    def status(self) -> dict[str, Any]:
        user, _, token = self.user.partition("!")
        keys = ("upid", "node", "pid", "pstart", "starttime", "type", "id")
        shown = {key: getattr(self, key) for key in keys} | {
            "user": user,
            "status": "stopped" if self.exitstatus else "running",
        }
        return (
            shown
            | ({"tokenid": token} if token else {})
            | ({"exitstatus": self.exitstatus} if self.exitstatus else {})
        )

    def summary(self) -> dict[str, Any]:
        """A line of the task list."""
        shown = {key: value for key, value in self.status().items() if key != "exitstatus"}
        if self.exitstatus:
            return shown | {"endtime": self.endtime, "status": self.exitstatus}
        shown.pop("tokenid", None)
        return shown | {"user": self.user, "status": "RUNNING", "saved": "0"}

    def broadcast(self) -> dict[str, Any]:
        """A line of the cluster's list."""
        user, _, token = self.user.partition("!")
        shown = {key: getattr(self, key) for key in ("upid", "node", "starttime", "type", "id")}
        shown |= {"user": user, "saved": "1" if self.exitstatus else "0"} | (
            {"tokenid": token} if token else {}
        )
        return shown | ({"endtime": self.endtime, "status": self.exitstatus} if self.exitstatus else {})


class Tasks:
    """Runs tasks. `pace`: seconds that each takes at least, so that a client sees what an unfinished one looks like."""

    def __init__(self, store: Store, *, pace: float = 0.0) -> None:
        self._store = store
        self._pace = pace
        self._running: dict[str, asyncio.Task[None]] = {}
        self.all: dict[str, Task] = {upid: Task(**value) for upid, value in store.load("task").items()}
        self._pid = max((task.pid for task in self.all.values()), default=1000)
        for task in self.all.values():
            if task.exitstatus is None:
                self._end(task, KILLED)

    def start(
        self,
        node: str,
        kind: str,
        subject: str,
        identity: Identity,
        work: Callable[[Task], Awaitable[None]],
        *,
        undo: Callable[[], None] = lambda: None,
    ) -> str:
        """Begins the work and answers the UPID at once. `undo` follows work that failed or was interrupted."""
        self._pid += 1
        now, ticks = int(time.time()), int(time.monotonic() * 100) & 0xFFFFFFFF
        upid = f"UPID:{node}:{self._pid:08X}:{ticks:08X}:{now:08X}:{kind}:{subject}:{identity.name}:"
        task = Task(
            upid=upid,
            node=node,
            pid=self._pid,
            pstart=ticks,
            starttime=now,
            type=kind,
            id=subject,
            user=identity.name,
        )
        self.all[upid] = task
        self._forget()
        self._store.put("task", upid, asdict(task))
        self._running[upid] = asyncio.create_task(self._run(task, work, undo), name=upid)
        return upid

    def _forget(self) -> None:
        """Drops the oldest tasks that have ended, as Proxmox's index of tasks does when it is rotated."""
        ended = (upid for upid, task in self.all.items() if task.exitstatus)
        for upid in list(itertools.islice(ended, max(0, len(self.all) - KEPT))):
            del self.all[upid]
            self._store.drop("task", upid)

    async def _run(
        self, task: Task, work: Callable[[Task], Awaitable[None]], undo: Callable[[], None]
    ) -> None:
        end = "OK"
        try:
            await asyncio.sleep(self._pace)
            mishap.fail_task()
            await work(task)
            mishap.fail_task(after=True)
        except Fault as fault:
            end = fault.in_task()
        except RzpError as error:
            end = str(error).replace("\n", " ").strip()
        except OSError as error:
            end = f"{error.strerror or error}"
        except asyncio.CancelledError:
            end = "received interrupt"
        except Exception as error:  # noqa: BLE001 - a task ends with its error's text, whatever it is
            end = f"{type(error).__name__}: {error}".replace("\n", " ")
        if end != "OK":
            undo()
        self._end(task, end)
        self._running.pop(task.upid, None)

    def _end(self, task: Task, end: str) -> None:
        warnings = sum(line.startswith("WARN:") for line in task.lines)
        good = end == "OK"
        if good and warnings:
            end = f"WARNINGS: {warnings}"
        task.exitstatus, task.endtime = end, int(time.time())
        if end != KILLED:
            task.log(f"TASK {end}" if good else f"TASK ERROR: {end}")
        self._store.put("task", task.upid, asdict(task))

    def interrupt(self, upid: str) -> None:
        if upid in self._running:
            self._running[upid].cancel()

    async def wait(self, upid: str, seconds: float) -> Task | None:
        """The task if it ends in that time."""
        running = self._running.get(upid)
        if running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(running), seconds)
        task = self.all[upid]
        return task if task.exitstatus else None

    async def close(self) -> None:
        running = list(self._running.values())
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)
