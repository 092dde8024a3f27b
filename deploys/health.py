"""What Argo CD's objects say, judged: is everything Synced and Healthy, and what is not, why? Pure: API objects in, values out.

Everything is root, what root and the ApplicationSets name in `status.resources`, and every Application that exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploys.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Body = dict[str, Any]

ROOT = "root"
GROUP = "argoproj.io"
_FINE = ("Healthy", "Suspended")
_UNDER_WAY = ("Running", "Terminating")
_DONE = ("Synced", "Pruned", "PruneSkipped")
APPS_WAVE = 20
"""As bootstrap/config/components.py has it."""
_LINES = 12
"""Reasons that are given for one object."""
_CHARACTERS = 400
"""Of one message; that of a program that failed tells its command line first and what was wrong last."""
_PREFIX = re.compile(r"Failed to load target state: .*?rpc error: code = \w+ desc = ")


@dataclass(frozen=True)
class Verdict:
    """About one Application or ApplicationSet. `missing` in a few words, None when it is as it should be.

    `reasons` are lines; `hopeless` is the one that only a person can change. `namespace`: where its workloads run.
    `late`: nothing waits for it. So are apps and what comes behind them.
    """

    name: str
    missing: str | None = None
    reasons: tuple[str, ...] = ()
    hopeless: str | None = None
    namespace: str = ""
    late: bool = False


def judge(objects: Iterable[Body]) -> tuple[Verdict, ...]:
    """All that is to be Synced and Healthy; root comes first."""
    applications: dict[str, Body] = {}
    sets: dict[str, Body] = {}
    for body in objects:
        (sets if body["kind"] == "ApplicationSet" else applications)[body["metadata"]["name"]] = body
    root = applications.pop(ROOT, None)
    named = dict.fromkeys(name for body in [root, *sets.values()] for name in _names(body, "Application"))
    settled = _settled(root) if root else frozenset()
    return (
        Verdict(ROOT, "absent") if root is None else _application(root, settled=True),
        *(
            _application(body, settled=settled is None or name in settled)
            for name, body in sorted(applications.items())
        ),
        *(_set(name, body) for name, body in sorted(sets.items())),
        *(Verdict(name, "absent") for name in named if name not in applications and name != ROOT),
        *(Verdict(_title(name), "absent") for name in _names(root, "ApplicationSet") if name not in sets),
    )


def lacking(verdicts: Iterable[Verdict], most: int = 5) -> str | None:
    """What is not Synced and Healthy, in one line; None when all is."""
    bad = [f"{verdict.name} {verdict.missing}" for verdict in verdicts if verdict.missing]
    more = f", and {len(bad) - most} more" if len(bad) > most else ""
    return f"{', '.join(bad[:most])}{more}" if bad else None


def explained(verdicts: Iterable[Verdict]) -> list[str]:
    """The same with every reason, in lines."""
    return [
        line
        for verdict in verdicts
        if verdict.missing
        for line in (f"{verdict.name}: {verdict.missing}", *(f"  {reason}" for reason in verdict.reasons))
    ]


def _names(parent: Body | None, kind: str) -> list[str]:
    """The children of one of Argo CD's kinds that root or an ApplicationSet tells of."""
    return [
        item["name"] for item in (parent or {}).get("status", {}).get("resources") or [] if _is(item, kind)
    ]


def _is(item: Body, kind: str) -> bool:
    """An ApplicationSet's entries carry group and kind only where its controller knew them."""
    return (item.get("group", GROUP), item.get("kind", kind)) == (GROUP, kind)


def _settled(root: Body) -> frozenset[str] | None:
    """The Applications that root has brought up to date; None for all. What the others lack, root may still change.

    While root waits for a wave its sync runs, and `syncResult` names what of it has been applied.
    """
    if not _running(root):
        synced = _sync(root) == "Synced" and _current(root)
        return None if synced else frozenset()
    results = root.get("status", {}).get("operationState", {}).get("syncResult", {}).get("resources") or []
    return frozenset(
        item["name"] for item in results if _is(item, "Application") and item.get("status") == "Synced"
    )


def _application(body: Body, *, settled: bool) -> Verdict:
    name, sync, health = body["metadata"]["name"], _sync(body), _health(body)
    running, current = _running(body), _current(body)
    deleted = "deletionTimestamp" in body["metadata"]
    if sync == "Synced" and health in _FINE and current and not running and not deleted:
        return Verdict(name)
    also = {"it is being deleted": deleted, "a sync is running": running}
    also["its status is about an earlier spec"] = bool(_compared(body)) and not current
    state = f"{sync or '?'}/{health or '?'}" if sync or health else "has no status yet"
    missing = "; ".join([state, *(words for words, holds in also.items() if holds)])
    told = list(_told(body))
    reasons = tuple(dict.fromkeys(line for _, line in told))
    kept = (*reasons[:_LINES], *([f"… and {len(reasons) - _LINES} more"] if len(reasons) > _LINES else []))
    final = [f"{name}: {line}" for is_final, line in told if is_final]
    lost = final[0] if final and settled else None
    namespace = body.get("spec", {}).get("destination", {}).get("namespace", "")
    return Verdict(name, missing, kept, lost, namespace, late=_late(body))


def _late(body: Body) -> bool:
    wave = body["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0")
    return body.get("spec", {}).get("project") == "apps" or int(wave) >= APPS_WAVE


def _sync(body: Body) -> str:
    return str(body.get("status", {}).get("sync", {}).get("status", ""))


def _health(body: Body) -> str:
    return str(body.get("status", {}).get("health", {}).get("status", ""))


def _running(body: Body) -> bool:
    phase = body.get("status", {}).get("operationState", {}).get("phase")
    return "operation" in body or phase in _UNDER_WAY


def _current(body: Body) -> bool:
    """Whether the status is about the present spec.

    `status.sync.comparedTo` is the source, or the sources, and the destination that the controller compared last; by
    the same comparison it decides that it has to compare anew (needRefreshAppStatus in controller/appcontroller.go of
    Argo CD 3.5). There is no observedGeneration. What is empty or false is left out of the one and not of the other.
    """
    spec, compared = body.get("spec", {}), _compared(body)
    fields = ("sources" if spec.get("sources") else "source", "destination")
    return all(_pruned(spec.get(field)) == _pruned(compared.get(field)) for field in fields)


def _compared(body: Body) -> Body:
    return dict(body.get("status", {}).get("sync", {}).get("comparedTo") or {})


def _pruned(value: Any) -> Any:
    """Without what is empty or false, at every depth."""
    if isinstance(value, dict):
        return {key: kept for key, part in value.items() if (kept := _pruned(part))}
    if isinstance(value, list):
        return [_pruned(part) for part in value]
    return value or None


def _told(body: Body) -> Iterator[tuple[bool, str]]:
    """Each reason, and whether only a person can change it; the most telling ones come first."""
    status = body.get("status", {})
    operation = status.get("operationState", {})
    for condition in status.get("conditions") or []:
        if condition["type"].endswith("Error"):
            # an InvalidSpecError leaves comparedTo alone, a SyncError is that of the last comparison
            fresh = condition["type"] == "InvalidSpecError" or _current(body)
            yield _line(condition["type"], condition.get("message", ""), fresh=fresh)
    results = operation.get("syncResult", {}).get("resources") or []
    if operation.get("phase") != "Succeeded":
        for item in results:
            state = item.get("status") or item.get("hookPhase") or ""
            if state not in (*_DONE, "") or item.get("hookPhase") in ("Failed", "Error"):
                yield _line(f"{_object(item)} {state}", item.get("message", ""))
        if operation.get("message"):
            yield _line(f"sync {operation.get('phase', '')}", operation["message"])
    if status.get("health", {}).get("message"):
        yield _line("health", status["health"]["message"])
    yield from _resources(status.get("resources") or [])


def _resources(resources: list[Body]) -> Iterator[tuple[bool, str]]:
    """Argo CD 3 tells the health of a resource here only with controller.resource.health.persist."""
    for item in resources:
        if item.get("requiresPruning"):
            yield _line(f"{_object(item)} is no longer in the repository", "delete it by hand")
            continue
        if _is(item, "Application") or _is(item, "ApplicationSet"):
            continue  # judged by itself
        health = item.get("health") or {}
        states = [
            *([item["status"]] if item.get("status", "Synced") != "Synced" else []),
            *([health["status"]] if health.get("status", "Healthy") not in _FINE else []),
        ]
        if states:
            yield _line(f"{_object(item)} {'/'.join(states)}", health.get("message", ""))


def _object(item: Body) -> str:
    place = f"{item['namespace']}/" if item.get("namespace") else ""
    return f"{item.get('kind', '?')} {place}{item.get('name', '?')}"


def _line(what: str, message: str, *, fresh: bool = False) -> tuple[bool, str]:
    """Only of what is `fresh` it can be said that it will not change."""
    text = _PREFIX.sub("", " ".join(message.split()))
    known, half = remedy(text), _CHARACTERS // 2
    short = f"{text[:half]} … {text[-half:]}" if len(text) > _CHARACTERS else text
    line = f"{what}: {short}" if short else what
    return fresh and known is not None and known.final, f"{line} → {known.fix}" if known else line


def _title(name: str) -> str:
    return f"applicationset/{name}"


def _set(name: str, body: Body) -> Verdict:
    """By the conditions, as Argo CD's own health script reads them; its Applications are judged one by one."""
    conditions = {item["type"]: item for item in body.get("status", {}).get("conditions") or []}
    for kind, bad in (
        ("ErrorOccurred", "True"),
        ("ResourcesUpToDate", "False"),
        ("RolloutProgressing", "True"),
    ):
        if conditions.get(kind, {}).get("status") == bad:
            _, line = _line(kind, conditions[kind].get("message", ""))
            return Verdict(_title(name), f"{kind}={bad}", (line,))
    done = conditions.get("ResourcesUpToDate", {}).get("status") == "True"
    return Verdict(_title(name), None if done else "has no status yet")
