"""Compares a lab's answers with the recorded ones. The answers to requests that were sent at once are compared as a bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.lab.conformance.likeness import Given, canonical, likeness, named, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.lab.conformance.recording import Recording
    from bootstrap.lab.conformance.wire import Answer


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One compared exchange. `served`: the lab has the endpoint. `differences` is empty when it matched."""

    number: int
    request: str
    note: str
    served: bool
    differences: tuple[str, ...]


def title(step: dict[str, Any]) -> str:
    return f"{step['request']['method']} {step['request']['path']}"


def in_order(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The exchanges of a step. Those sent at once come in the order in which the real server took them, as far as it shows."""
    group = step.get("parallel", [step])
    return sorted(
        group, key=lambda one: (one["response"]["status"] >= 400, one.get("task", {}).get("upid", ""))
    )


def compare(recording: Recording, answers: list[list[Answer]]) -> list[Outcome]:
    """Each exchange of the recording beside the lab's answer."""
    given = named(recording.requests())
    return [
        outcome
        for number, (step, own) in enumerate(zip(recording.steps, answers, strict=True))
        for outcome in outcomes(number, step, own, given)
    ]


def outcomes(number: int, step: dict[str, Any], answers: list[Answer], given: Given) -> list[Outcome]:
    """Compares each exchange of a step; of those sent at once, each with the answer that is most like it."""
    left, found = list(answers), []
    for recorded in in_order(step):
        compared = [(differences(recorded, ours, given), ours) for ours in left]
        wrong, ours = min(compared, key=lambda pair: len(pair[0]))
        left.remove(ours)
        served = ours.status != 501 or recorded["response"]["status"] == 501
        found.append(
            Outcome(
                number=number,
                request=title(recorded),
                note=recorded.get("note") or step.get("note") or "",
                served=served,
                differences=tuple(wrong),
            )
        )
    return found


def differences(recorded: dict[str, Any], ours: Answer, given: Given) -> list[str]:
    """What the lab's answer, and the end of its task, have otherwise."""
    found = _compare("", recorded["response"], ours, lambda body: likeness(body, given))
    if task := recorded.get("task"):
        *earlier, last = task["polls"]
        for poll in earlier if ours.running else []:
            found += _compare("running task's ", poll, ours.running, lambda body: likeness(body, given))
        found += _compare("task's ", last, ours.end, lambda body: likeness(body, given))
        found += _compare("log's ", task["log"], ours.log, lambda body: told(body, given))
    return found


def _compare(
    what: str, recorded: dict[str, Any], ours: Answer | None, like: Callable[[Any], Any]
) -> list[str]:
    if ours is None:
        return [f"{what}status: recorded {recorded['status']}, lab none"]
    pairs = [
        ("status", recorded["status"], ours.status),
        ("reason", _cleaned(recorded["reason"]), ours.reason),
        ("body", like(_cleaned(recorded["body"])), like(ours.body)),
    ]
    return [
        f"{what}{name}: recorded {canonical(theirs)}, lab {canonical(mine)}"
        for name, theirs, mine in pairs
        if canonical(theirs) != canonical(mine)
    ]


def _cleaned(value: Any) -> Any:
    """Without the name of the recording's wrapper around qemu-img."""
    if isinstance(value, dict):
        return {key: _cleaned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return value.replace("qemu-img.real", "qemu-img") if isinstance(value, str) else value
