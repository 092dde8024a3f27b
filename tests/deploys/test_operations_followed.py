"""The end of the hand-over: waited for once, bounded and explained. Argo CD's answers are doubles."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from deploys import handover
from deploys.facts.argocd import FOLLOWED, ArgoCDState
from deploys.health import judge
from deploys.operations import argocd
from deploys.settings import Settings

Carry = Callable[..., list[PyinfraCommand]]
Body = dict[str, Any]

HEALTHY = Path(__file__).parent / "fixtures/argocd/healthy.json"
LOAD = "Failed to load target state: rpc error: code = Unknown desc = "


@pytest.fixture
def healthy() -> dict[str, Body]:
    return {item["metadata"]["name"]: item for item in json.loads(HEALTHY.read_text())["items"]}


def _lines(found: dict[str, Body]) -> list[str]:
    """As the host's script prints them."""
    return ["applications", *json.dumps({"items": list(found.values())}, indent=4).splitlines()]


def _with(found: dict[str, Body], name: str, **status: Any) -> dict[str, Body]:
    changed = copy.deepcopy(found)
    changed[name]["status"] |= status
    return changed


def _not_comparable(found: dict[str, Body], message: str) -> dict[str, Body]:
    sync = {**found["root"]["status"]["sync"], "status": "Unknown"}
    conditions = [{"type": "ComparisonError", "message": LOAD + message}]
    return _with(found, "root", sync=sync, conditions=conditions)


@pytest.fixture
def machine(machines: Any) -> Any:
    """A server on which the hand-over is not finished yet."""
    server = machines["s1"]
    seen = server.answers[ArgoCDState]()
    server.answers[ArgoCDState] = lambda: dataclasses.replace(seen, followed="")
    return server


def _answers(machine: Any, *looks: dict[str, Body]) -> None:
    """One look after the other; the last one stays."""
    texts = [_lines(look) for look in looks]
    machine.replies["applicationsets"] = itertools.chain(texts, itertools.repeat(texts[-1]))


def test_what_becomes_healthy_is_waited_for_and_root_is_marked(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body]
) -> None:
    progressing = _with(healthy, "alpha", health={"status": "Progressing"})
    _answers(machine, {}, progressing, progressing, healthy)
    (command,) = carry_out(machine, argocd.followed, settings=settings, seconds=2)
    assert f"--overwrite {FOLLOWED}={handover.root(settings).mark}" in str(command)
    said = [line.partition("): ")[2] for line in machine.logs]
    assert said == ["root absent", "alpha Synced/Progressing", "all of it is; looking once more"]


def test_what_turns_bad_between_two_looks_is_waited_for_again(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body]
) -> None:
    _answers(machine, healthy, _with(healthy, "apps", conditions=[]), healthy)
    assert len(carry_out(machine, argocd.followed, settings=settings, seconds=2)) == 1
    assert len(machine.shell) == 4


def test_the_wait_ends_with_its_time_and_tells_what_is_missing_and_why(
    machine: Any, rzp: dict[str, Any], carry_out: Carry, healthy: dict[str, Body]
) -> None:
    rzp["gitops"]["left_out"] = ["core/longhorn: no pin"]
    machine.replies["get pods"] = ["alpha-1  0/1  ImagePullBackOff"]
    _answers(machine, _with(healthy, "alpha", health={"status": "Degraded"}))
    (failed,) = carry_out(machine, argocd.followed, settings=Settings.parse(rzp))
    assert isinstance(failed, FunctionCommand)
    assert [line.strip() for line in machine.logs] == [
        "alpha: Synced/Degraded",
        "--- alpha",
        "alpha-1  0/1  ImagePullBackOff",
        "left out: core/longhorn: no pin",
        "everything to be Synced and Healthy: not within 0 s; alpha Synced/Degraded",
    ]


def _late_one(healthy: dict[str, Body], kind: str) -> tuple[dict[str, Body], str]:
    """An app, or a component in the last wave, that is degraded; root's health is kept apart from it."""
    if kind == "app":
        name = next(name for name, body in healthy.items() if body["spec"].get("project") == "apps")
        return _with(healthy, name, health={"status": "Degraded"}), name
    found = _with(healthy, "alpha", health={"status": "Degraded"})
    found["alpha"]["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": "21"}
    return found, "alpha"


@pytest.mark.parametrize("kind", ["app", "store"])
def test_what_nothing_waits_for_is_a_warning_and_the_cluster_is_handed_over(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body], kind: str
) -> None:
    found, name = _late_one(healthy, kind)
    _answers(machine, found)
    (command,) = carry_out(machine, argocd.followed, settings=settings)
    assert f"--overwrite {FOLLOWED}={handover.root(settings).mark}" in str(command)
    assert f"  {name}: Synced/Degraded" in machine.logs
    assert machine.logs[-1].startswith("not Synced and Healthy within 0 s: ")
    assert f"{name} Synced/Degraded" in machine.logs[-1]


@pytest.mark.parametrize("sync", ["OutOfSync", "Unknown"])
def test_root_itself_is_waited_for(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body], sync: str
) -> None:
    behind = {**healthy["root"]["status"]["sync"], "status": sync}
    _answers(machine, _with(healthy, "root", sync=behind))
    (failed,) = carry_out(machine, argocd.followed, settings=settings)
    assert isinstance(failed, FunctionCommand)
    assert f"not within 0 s; root {sync}/Healthy" in machine.logs[-1]


def test_an_api_that_does_not_answer_is_waited_for(
    machine: Any, settings: Settings, carry_out: Carry
) -> None:
    carry_out(machine, argocd.followed, settings=settings)
    assert machine.logs[-1].endswith("not within 0 s; the API does not answer")


UNREADABLE = {
    "authentication required: Repository not found.": "the repository is unknown or refuses the credential",
    "unable to resolve 'main' to a commit SHA": "the repository has no revision main: push it",
}


@pytest.mark.parametrize("message", UNREADABLE)
def test_what_only_a_person_can_change_ends_the_wait_at_once(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body], message: str
) -> None:
    just_applied = copy.deepcopy(healthy)
    del just_applied["root"]["status"]
    _answers(machine, just_applied, _not_comparable(healthy, message))
    (failed,) = carry_out(machine, argocd.followed, settings=settings, seconds=2)
    assert isinstance(failed, FunctionCommand)
    assert message in machine.logs[-1]
    assert UNREADABLE[message] in machine.logs[-1]


def test_an_error_that_was_there_before_may_have_been_put_right(
    machine: Any, settings: Settings, carry_out: Carry, healthy: dict[str, Body]
) -> None:
    _answers(machine, _not_comparable(healthy, "authentication required"), healthy)
    (command,) = carry_out(machine, argocd.followed, settings=settings, seconds=2)
    assert FOLLOWED in str(command)


def test_planning_shows_the_wait_and_asks_nothing(machine: Any, settings: Settings, carry_out: Carry) -> None:
    machine.state.is_executing = False
    assert len(carry_out(machine, argocd.followed, settings=settings)) == 1
    assert machine.shell == []


def test_another_root_is_waited_for_again(
    machines: Any, rzp: dict[str, Any], carry_out: Carry, healthy: dict[str, Body]
) -> None:
    rzp["gitops"]["revision"] = "next"
    _answers(machines["s1"], healthy)
    assert len(carry_out(machines["s1"], argocd.followed, settings=Settings.parse(rzp), seconds=1)) == 1


def _unhealthy(healthy: dict[str, Body]) -> Iterator[Body]:
    yield from _with(healthy, "alpha", health={"status": "Degraded"}).values()


@pytest.mark.parametrize("executing", [False, True], ids=["planning", "executing"])
def test_later_a_lack_is_one_line_of_warning_and_no_failure(
    machines: Any,
    settings: Settings,
    carry_out: Carry,
    healthy: dict[str, Body],
    executing: bool,
) -> None:
    machine = machines["s1"]
    machine.state.is_executing = executing
    seen = machine.answers[ArgoCDState]()
    verdicts = judge(_unhealthy(healthy))
    machine.answers[ArgoCDState] = lambda: dataclasses.replace(seen, verdicts=verdicts)
    assert carry_out(machine, argocd.followed, settings=settings) == []
    assert machine.logs == ["not Synced and Healthy: alpha Synced/Degraded"]
    assert machine.shell == []


def test_what_is_left_out_is_told_on_every_run(machines: Any, rzp: dict[str, Any], carry_out: Carry) -> None:
    rzp["gitops"]["left_out"] = ["core/longhorn: chart sha256 is not known; enter it", "platform/x: no pin"]
    carry_out(machines["s1"], argocd.followed, settings=Settings.parse(rzp))
    assert machines["s1"].logs == [
        "left out: core/longhorn: chart sha256 is not known; enter it",
        "left out: platform/x: no pin",
    ]
