"""The health script that makes sync waves hold, run by a real Lua 5.1 on objects as Argo CD writes them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

Object = dict[str, Any]

CONFIGURATION = Path(__file__).resolve().parents[2] / "kubernetes/core/argocd/base/argocd-cm.yaml"
RECORDED = Path(__file__).resolve().parents[1] / "deploys/fixtures/argocd"
KEY = "resource.customizations.health.argoproj.io_Application"
NOW, LONG_AGO = "2999-01-01T00:00:00Z", "2026-01-01T00:00:00Z"
SOURCE = {"repoURL": "https://git.lan/infra.git", "path": "a", "targetRevision": "main"}
SPEC: Object = {"source": SOURCE | {"directory": {"recurse": False, "jsonnet": {"libs": []}}}}
SYNCED = {
    "sync": {"status": "Synced", "comparedTo": {"source": SOURCE, "destination": {}}},
    "health": {"status": "Healthy"},
    "operationState": {"phase": "Succeeded"},
}
AGED: Object = {"metadata": {"creationTimestamp": LONG_AGO}}
TWO = {"sources": [SOURCE, {"repoURL": "https://charts.lan", "chart": "a", "targetRevision": "1.1"}]}
NOT_RENDERED = {"type": "ComparisonError", "message": "no such chart"}


def compared(status: str, **other: Any) -> Object:
    return {"status": SYNCED | {"sync": {"status": status, "comparedTo": {"source": SOURCE}}} | other}


APPLICATIONS = [
    ({}, "Progressing", "the change has not been looked at yet"),
    (compared("OutOfSync", health={"status": "Missing"}), "Progressing", "OutOfSync, Missing"),
    (compared("Unknown"), "Progressing", "Unknown, Healthy"),
    (compared("Unknown", conditions=[NOT_RENDERED]), "Degraded", "no such chart"),
    (
        compared("OutOfSync", conditions=[NOT_RENDERED], operationState={"phase": "Running"}),
        "Progressing",
        "a sync is under way",
    ),
    (
        {"status": {"conditions": [{"type": "InvalidSpecError", "message": "no project"}]}},
        "Degraded",
        "no project",
    ),
    ({"status": {"conditions": [NOT_RENDERED]}}, "Progressing", "the change has not been looked at yet"),
    (compared("Synced", conditions=[{"type": "OrphanedResourceWarning", "message": "2"}]), "Healthy", ""),
    (compared("Synced", operationState={"phase": "Running"}), "Progressing", "a sync is under way"),
    (compared("Synced") | {"operation": {"sync": {}}}, "Progressing", "a sync is under way"),
    (compared("Synced", health={"status": "Progressing"}), "Progressing", "Synced, Progressing"),
    (compared("Synced", health={"status": "Degraded"}), "Degraded", "one of its objects is degraded"),
    (compared("Synced", health={}), "Progressing", "Synced, no health"),
    (AGED | compared("Synced"), "Healthy", ""),
    (AGED | {"status": SYNCED, "spec": TWO}, "Progressing", "the change has not been looked at yet"),
    (
        AGED | compared("OutOfSync", operationState={}) | {"operation": {}},
        "Progressing",
        "has not been looked at",
    ),
    (
        AGED | compared("Synced", health={"status": "Progressing"}),
        "Degraded",
        f"since {LONG_AGO}: Synced, Progressing",
    ),
    (
        AGED | compared("OutOfSync", operationState={"phase": "Running", "startedAt": NOW}),
        "Progressing",
        "a sync",
    ),
    (
        AGED | compared("Synced", health={"status": "Missing", "lastTransitionTime": NOW}),
        "Progressing",
        "Missing",
    ),
    (
        AGED
        | compared(
            "OutOfSync", operationState={"phase": "Running", "startedAt": LONG_AGO, "message": "no CRD"}
        ),
        "Degraded",
        f"since {LONG_AGO}: no CRD",
    ),
    (compared("Synced", health={"status": "Suspended"}), "Healthy", ""),
    (compared("Synced"), "Healthy", ""),
    ({"status": {"sync": SYNCED["sync"], "health": SYNCED["health"]}}, "Healthy", ""),
    (
        {"status": SYNCED, "spec": {"source": SOURCE | {"targetRevision": "v2"}}},
        "Progressing",
        "not been looked at",
    ),
    ({"status": SYNCED, "spec": TWO}, "Progressing", "the change has not been looked at yet"),
    (
        {
            "status": SYNCED
            | {"sync": {"status": "Synced", "comparedTo": TWO | {"source": {"repoURL": ""}}}},
            "spec": TWO,
        },
        "Healthy",
        "",
    ),
]


def judge(thing: Object) -> tuple[str, str]:
    """Health and message, as Argo CD gets them: the script sees the object as the global `obj`."""
    script = yaml.safe_load(CONFIGURATION.read_text())["data"][KEY]
    lua = lua51.LuaRuntime()
    lua.execute("string, os, io = nil, nil, nil")  # as in Argo CD, where only require('os') gives times
    lua.globals()["obj"] = lua.table_from(
        json.loads(json.dumps(thing)), recursive=True
    )  # a shared part would come once
    verdict = lua.execute(script)
    return verdict["status"], verdict["message"] or ""


@pytest.mark.parametrize(("thing", "health", "said"), APPLICATIONS)
def test_an_application_is_healthy_when_it_is_synced_and_at_rest(
    thing: Object, health: str, said: str
) -> None:
    found, message = judge({"spec": SPEC, "metadata": {"creationTimestamp": NOW}} | thing)
    assert found == health
    assert said in message


@pytest.mark.parametrize(
    "recorded", [RECORDED / "healthy.json", RECORDED / "waiting.json"], ids=lambda path: path.stem
)
def test_the_scripts_agree_with_what_argo_cd_itself_wrote(recorded: Path) -> None:
    """Answers of a real Argo CD; root's sync waited for what the script holds back."""
    applications = [
        item for item in json.loads(recorded.read_text())["items"] if item["kind"] == "Application"
    ]
    for item in applications:  # recorded without it
        item["metadata"]["creationTimestamp"] = NOW
    verdicts = {item["metadata"]["name"]: judge(item)[0] for item in applications}
    behind = [name for name, verdict in verdicts.items() if verdict != "Healthy"]
    assert bool(behind) == (recorded.stem == "waiting")
