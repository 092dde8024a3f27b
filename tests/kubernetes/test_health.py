"""The health scripts that make sync waves hold, run by a real Lua 5.1 on objects as Argo CD writes them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

Object = dict[str, Any]

CONFIGURATION = Path(__file__).resolve().parents[2] / "kubernetes/core/argocd/base/argocd-cm.yaml"
KEY = "resource.customizations.health.argoproj.io_"
SYNCED = {
    "sync": {"status": "Synced"},
    "health": {"status": "Healthy"},
    "operationState": {"phase": "Succeeded"},
}
EVALUATED = [
    {"type": "ErrorOccurred", "status": "False"},
    {"type": "ResourcesUpToDate", "status": "True"},
]
APPLICATIONS = [
    ({}, "Progressing", "sync status: none yet"),
    (
        {"status": {"sync": {"status": "OutOfSync"}, "health": {"status": "Missing"}}},
        "Progressing",
        "OutOfSync",
    ),
    ({"status": {"sync": {"status": "Unknown"}, "health": {"status": "Healthy"}}}, "Progressing", "Unknown"),
    ({"status": SYNCED | {"operationState": {"phase": "Running"}}}, "Progressing", "a sync is under way"),
    ({"status": SYNCED, "operation": {"sync": {}}}, "Progressing", "a sync is under way"),
    ({"status": SYNCED | {"health": {"status": "Progressing"}}}, "Progressing", ""),
    ({"status": SYNCED | {"health": {"status": "Degraded", "message": "no quota"}}}, "Degraded", "no quota"),
    ({"status": SYNCED | {"health": {}}}, "Progressing", ""),
    ({"status": SYNCED}, "Healthy", ""),
    ({"status": {key: SYNCED[key] for key in ("sync", "health")}}, "Healthy", ""),
]
SETS = [
    ({}, "Progressing", "not evaluated yet"),
    (
        {
            "status": {
                "conditions": [{"type": "ErrorOccurred", "status": "True", "message": "no such branch"}]
            }
        },
        "Degraded",
        "no such branch",
    ),
    ({"status": {"conditions": EVALUATED}}, "Healthy", ""),
    (
        {
            "status": {
                "conditions": EVALUATED,
                "resources": [
                    {"name": "whoami", "status": "Synced", "health": {"status": "Healthy"}},
                    {"name": "blog", "status": "Synced", "health": {"status": "Progressing"}},
                    {"name": "wiki", "status": "OutOfSync", "health": {"status": "Healthy"}},
                    {"name": "new"},
                ],
            }
        },
        "Progressing",
        "not synced and healthy yet: blog, wiki, new",
    ),
    (
        {
            "status": {
                "conditions": EVALUATED,
                "resources": [
                    {"name": "whoami", "status": "Synced", "health": {"status": "Healthy"}},
                    {"name": "nightly", "status": "Synced", "health": {"status": "Suspended"}},
                ],
            }
        },
        "Healthy",
        "",
    ),
]


def judge(kind: str, thing: Object) -> tuple[str, str]:
    """Health and message, as Argo CD gets them: the script sees the object as the global `obj`."""
    script = yaml.safe_load(CONFIGURATION.read_text())["data"][KEY + kind]
    lua = lua51.LuaRuntime()
    lua.globals()["obj"] = lua.table_from(thing, recursive=True)
    verdict = lua.execute(script)
    return verdict["status"], verdict["message"] or ""


@pytest.mark.parametrize(("thing", "health", "said"), APPLICATIONS)
def test_an_application_is_healthy_when_it_is_synced_and_at_rest(
    thing: Object, health: str, said: str
) -> None:
    found, message = judge("Application", thing)
    assert found == health
    assert said in message


@pytest.mark.parametrize(("thing", "health", "said"), SETS)
def test_a_set_is_healthy_when_all_of_its_applications_are(thing: Object, health: str, said: str) -> None:
    found, message = judge("ApplicationSet", thing)
    assert found == health
    assert message == said
