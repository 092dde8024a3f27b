"""Endpoints of the tasks: lists, status, log, stop. Everybody sees their own, auditors of the node all."""

from __future__ import annotations

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
    seen = (task for task in call.lab.tasks.all.values() if _sees_all(call, task.node))
    return [task.summary() for task in list(seen)[-25:][::-1]] if call.may("/", "Sys.Audit") else []


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
        and (task.user == call.who.name or _sees_all(call, call.node))
        and (source == "all" or (source == "archive") == ended)
        and wants.get("vmid", task.id) == task.id
        and wants.get("typefilter", task.type) == task.type
        and wants.get("userfilter", "") in task.user
        and (wants.get("errors") != "1" or not (task.exitstatus or "").startswith(("OK", "WARNINGS")))
        and call.integer("since") <= task.starttime <= call.integer("until", 1 << 40)
    )


def _task(call: Call) -> Task:
    upid = call.path["upid"]
    if not upid.startswith("UPID:") or upid.count(":") != 8:
        raise invalid(upid="unable to parse worker upid")
    task = call.lab.tasks.all.get(upid)
    if task is None:
        raise invalid(upid="no such task")
    if task.user != call.who.name:
        call.require(f"/nodes/{call.node}", "Sys.Audit")
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
        lines = ["unable to open file - No such file or directory"]
    start, limit = call.integer("start"), call.integer("limit", 50)
    shown = lines[start : start + limit] if limit else lines[start:]
    return Answer(data=[{"n": n, "t": text} for n, text in enumerate(shown, start + 1)], total=len(lines))


@ROUTES.on("DELETE", "/nodes/{node}/tasks/{upid}")
async def stop_task(call: Call) -> Any:
    task = call.lab.tasks.all.get(call.path["upid"])
    if task and task.user != call.who.name:
        call.require(f"/nodes/{call.node}", "Sys.Modify")
    call.lab.tasks.interrupt(_task(call).upid)
