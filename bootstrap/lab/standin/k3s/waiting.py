"""`kubectl wait` and `kubectl rollout status`."""

import time
from collections.abc import Callable

from .arguments import Arguments, Usage, selection, targets
from .connection import Connection, Failed, server_error
from .printing import out
from .store import Json

EVERY = 0.2  # seconds


def _poll(server: Connection, body: Json, seconds: float, done: Callable[[list[Json]], str | None]) -> int:
    """Asks until `done` names nothing that is missing."""
    deadline = time.monotonic() + seconds
    while True:
        answer = server.post("get", body)
        if answer["errors"]:
            raise Failed(server_error(answer["errors"][0]))
        missing = done(answer["items"])
        if missing is None:
            return 0
        if time.monotonic() > deadline:
            raise Failed(f"error: timed out waiting for the condition{missing}")
        time.sleep(EVERY)


def wait(server: Connection, arguments: Arguments) -> int:
    """Only --for=condition=NAME[=VALUE]."""
    goal, _, wanted = arguments.one("for").partition("=")
    if goal != "condition":
        raise Usage(f"stand-in: `wait --for={goal}` is not imitated")
    met: set[str] = set()

    def done(items: list[Json]) -> str | None:
        if not items:
            raise Failed("error: no matching resources found")
        for item in items:
            if item["title"] not in met and _holds(item["object"], wanted):
                met.add(item["title"])
                out(f"{item['title']} condition met")
        return next((f" on {item['title']}" for item in items if item["title"] not in met), None)

    return _poll(server, selection(arguments, targets(arguments.words)), arguments.seconds, done)


def _holds(body: Json, wanted: str) -> bool:
    name, _, value = wanted.partition("=")
    goal = (name.lower(), (value or "True").lower())
    conditions = body.get("status", {}).get("conditions", [])
    return any((entry["type"].lower(), entry["status"].lower()) == goal for entry in conditions)


def rollout(server: Connection, arguments: Arguments) -> int:
    if arguments.words[:1] != ["status"]:
        raise Usage("stand-in: only `rollout status` is imitated")

    def done(items: list[Json]) -> str | None:
        for item in items:
            status = item["object"]["status"]
            if status.get("availableReplicas", 0) < status.get("replicas", 0):
                return ""
        for item in items:
            name = item["object"]["metadata"]["name"]
            out(f'{item["kind"].lower()} "{name}" successfully rolled out')
        return None

    seconds = arguments.seconds if "timeout" in arguments.values else float("inf")
    return _poll(server, selection(arguments, targets(arguments.words[1:])), seconds, done)
