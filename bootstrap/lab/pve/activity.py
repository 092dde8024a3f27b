"""Endpoints of the tasks: lists, status, log, stop. Everybody sees their own, auditors of the node all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.routes import Answer, Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, Rule

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()


@ROUTES.on("GET", "/cluster/tasks")
async def cluster_tasks(call: Call) -> Any:
    """The latest of each node, to auditors; users see their own, and tokens nothing."""
    audits = call.may("/", "Sys.Audit")
    shown = [task.broadcast() for task in list(call.lab.tasks.all.values())[-25:][::-1]]
    return [one for one in shown if audits or one["user"] == call.who.name]


def _sees_all(call: Call, node: str) -> bool:
    return call.may(f"/nodes/{node}", "Sys.Audit")


_TASKS = {
    "errors": SWITCH,
    "limit": WHOLE,
    "since": WHOLE,
    "source": Rule(choices=("archive", "active", "all")),
    "start": WHOLE,
    "statusfilter": TEXT,
    "typefilter": TEXT,
    "until": WHOLE,
    "userfilter": TEXT,
    "vmid": Rule(kind="integer", minimum=100),
}


@ROUTES.on("GET", "/nodes/{node}/tasks", _TASKS)
async def tasks(call: Call) -> Any:
    found = [task for task in reversed(call.lab.tasks.all.values()) if _wanted(call, task)]
    start = call.integer("start")
    return Answer(
        data=[task.summary() for task in found[start : start + call.integer("limit", 50)]], total=len(found)
    )


def _wanted(call: Call, task: Task) -> bool:
    wants, source = call.params, call.params.get("source", "archive")
    ended = task.exitstatus is not None
    return (
        task.node == call.node
        and (_is_own(call, task) or _sees_all(call, call.node))
        and (source == "all" or (source == "archive") == ended)
        and wants.get("vmid", task.id) == task.id
        and wants.get("typefilter", task.type) == task.type
        and wants.get("userfilter", "").lower() in task.user.lower()
        and _kind(task.exitstatus or "RUNNING") in _kinds(call)
        and call.integer("since") <= task.starttime <= call.integer("until", 1 << 40)
    )


def _is_own(call: Call, task: Task) -> bool:
    """A token sees its own tasks, a user those of all the own tokens too."""
    return call.who.name in (task.user, task.user.partition("!")[0])


def _kind(end: str) -> str:
    if end == "OK":
        return "ok"
    if end == "RUNNING":
        return "unknown"
    return "warning" if re.fullmatch(r"WARNINGS: \d+", end) else "error"


def _kinds(call: Call) -> set[str]:
    everything = {"ok", "warning", "error", "unknown"}
    if call.params.get("errors") == "1":
        return everything - {"ok"}
    return (
        set(call.params["statusfilter"].lower().split(",")) if "statusfilter" in call.params else everything
    )


def _task(call: Call, privilege: str = "Sys.Audit") -> Task:
    upid = call.path["upid"]
    if not upid.startswith("UPID:") or upid.count(":") != 8:
        raise invalid(upid="unable to parse worker upid")
    task = call.lab.tasks.all.get(upid)
    if task is None:
        raise invalid(upid="no such task")
    if not _is_own(call, task):
        call.require(f"/nodes/{call.node}", privilege)
    return task


@ROUTES.on("GET", "/nodes/{node}/tasks/{upid}/status")
async def task_status(call: Call) -> Any:
    return _task(call).status()


@ROUTES.on("GET", "/nodes/{node}/tasks/{upid}/log", {"start": WHOLE, "limit": WHOLE, "download": SWITCH})
async def task_log(call: Call) -> Any:
    try:
        lines = _task(call).lines or ["no content"]
    except Fault as fault:
        if (fault.errors or {}).get("upid") != "no such task":
            raise
        line = {"n": 1, "t": "unable to open file - No such file or directory"}
        return Answer(data=line if call.lab.pve == "8.4" else [line], total=1)
    start, limit = call.integer("start"), call.integer("limit", 50)
    shown = lines[start : start + limit] if limit else lines[start:]
    return Answer(data=[{"n": n, "t": text} for n, text in enumerate(shown, start + 1)], total=len(lines))


@ROUTES.on("DELETE", "/nodes/{node}/tasks/{upid}")
async def stop_task(call: Call) -> Any:
    call.lab.tasks.interrupt(_task(call, "Sys.Modify").upid)
