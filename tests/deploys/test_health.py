"""The judgement of Argo CD's answers.

In fixtures/argocd: healthy.json and waiting.json are a tree of Applications, recorded.jsonl single ones, all of them
recorded from Argo CD 3.5.1, trimmed and with other addresses; cases.yaml are doubles.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploys.health import Verdict, explained, judge, lacking

Body = dict[str, Any]

FIXTURES = Path(__file__).parent / "fixtures" / "argocd"
TREES = ("healthy", "waiting")
CASES: dict[str, Body] = yaml.safe_load((FIXTURES / "cases.yaml").read_text())
MANIFEST = os.environ.get("RZP_ARGOCD_MANIFEST")


def _answer(name: str) -> list[Body]:
    return list(json.loads((FIXTURES / f"{name}.json").read_text())["items"])


def _merged(old: Any, change: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(change, dict):
        return change
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _changed(change: Body) -> list[Body]:
    """The healthy answer, changed."""
    found = {item["metadata"]["name"]: item for item in _answer("healthy")}
    return list(_merged(found, change).values())


def _recorded() -> dict[str, Body]:
    lines = map(json.loads, (FIXTURES / "recorded.jsonl").read_text().splitlines())
    return {item["metadata"]["name"]: item for item in lines}


# what is missing; a part of the explanation; whether only a person can change it
RECORDED: dict[str, tuple[str, str, bool]] = {
    "degraded": ("Synced/Degraded", "Synced/Degraded", False),
    "sync-running": (
        "OutOfSync/Progressing; a sync is running",
        "sync Running: waiting for healthy state of apps/Deployment/w",
        False,
    ),
    "missing-crd-retrying": (
        "OutOfSync/Missing; a sync is running",
        "→ the cluster has no CRD for IPAddressPool.metallb.io: an Application of an earlier wave should bring it",
        False,
    ),
    "missing-crd-exhausted": (
        "OutOfSync/Missing",
        "SyncError: Failed last sync attempt to [0e04aa3df75e3bd08be561bae8ab3e4dd27ee713]",
        True,
    ),
    "missing-crd-skipdryrun": ("OutOfSync/Healthy", "no CRD for IPAddressPool.metallb.io", True),
    "repo-auth": ("Unknown/Healthy", "→ the repository is unknown or refuses the credential", True),
    "repo-not-found": ("Unknown/Healthy", "→ the repository is unknown or refuses the credential", True),
    "repo-refused": ("Unknown/Healthy", "connection refused → it cannot be reached from the cluster", False),
    "unknown-host": ("Unknown/Healthy", "no such host → it cannot be reached from the cluster", False),
    "unknown-revision": ("Unknown/Healthy", "→ the repository has no revision nope: push it", True),
    "unknown-path": ("Unknown/Healthy", "→ the folder is not in the repository at this revision", True),
    "chart-version": ("Unknown/Healthy", "→ compare the pin in bootstrap/config/pins.py", True),
    "chart-name": ("Unknown/Healthy", "→ compare the pin in bootstrap/config/pins.py", True),
    "project-missing": ("Unknown/Unknown", "→ root brings the AppProject nowhere in its first wave", False),
    "project-namespace": ("Unknown/Unknown", "→ the AppProject s-narrow does not allow it", False),
    "project-kind": ("OutOfSync/Missing", "→ the AppProject s-narrow does not allow it", True),
    "set-auth": ("ErrorOccurred=True", "→ the repository is unknown or refuses the credential", False),
    "set-duplicate": ("ErrorOccurred=True", "contains applications with duplicate name: same", False),
}


@pytest.mark.parametrize(("name", "missing", "reason", "final"), [(n, *RECORDED[n]) for n in RECORDED])
def test_what_was_recorded_is_told_with_its_reason_and_its_fix(
    name: str, missing: str, reason: str, final: bool
) -> None:
    verdicts = judge([*_answer("healthy"), _recorded()[name]])
    assert str(lacking(verdicts)).removeprefix("applicationset/") == f"{name} {missing}"
    assert reason in "\n".join(explained(verdicts))
    assert any(verdict.hopeless for verdict in verdicts) is final


def test_an_applicationset_without_a_single_application_is_fine() -> None:
    assert lacking(judge([*_answer("healthy"), _recorded()["set-zero"]])) is None


def test_root_waits_for_one_wave_and_the_next_one_is_not_there_yet() -> None:
    verdicts = judge(_answer("waiting"))
    assert lacking(verdicts) == (
        "root OutOfSync/Progressing; a sync is running, alpha Synced/Progressing, beta absent, applicationset/apps absent"
    )
    assert "  sync Running: waiting for healthy state of argoproj.io/Application/alpha" in explained(verdicts)
    assert not any(verdict.hopeless for verdict in verdicts)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_missing_is_said_with_its_reason_and_its_fix(case: Body) -> None:
    verdicts = judge(_changed(case["change"]))
    assert case["missing"] in str(lacking(verdicts, most=9))
    assert case["reason"] in "\n".join(explained(verdicts))
    found = [verdict.hopeless for verdict in verdicts if verdict.hopeless]
    expected = case.get("hopeless")
    assert [text.startswith(expected) for text in found] == [True] if expected else not found


def test_synced_and_healthy_is_nothing_to_be_told() -> None:
    verdicts = judge(_answer("healthy"))
    assert {verdict.name for verdict in verdicts} == {"root", "alpha", "beta", "one", "applicationset/apps"}
    assert lacking(verdicts) is None
    assert explained(verdicts) == []


FINE = {
    "suspended": {"one": {"status": {"health": {"status": "Suspended"}}}},
    "empty and false values, which the API server keeps and the controller leaves out": {
        "alpha": {"spec": {"source": {"kustomize": {"forceCommonLabels": False, "images": []}}}}
    },
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_what_is_as_good_as_healthy(change: Body) -> None:
    assert lacking(judge(_changed(change))) is None


def test_one_of_several_sources_that_changed_makes_a_status_stale() -> None:
    found = {item["metadata"]["name"]: item for item in _answer("healthy")}
    found["beta"]["spec"]["sources"][1]["targetRevision"] = "1.0.1"
    assert lacking(judge(found.values())) == "beta Synced/Healthy; its status is about an earlier spec"


def test_a_long_list_and_a_long_message_are_cut() -> None:
    result = {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "namespace": "x",
        "status": "SyncFailed",
    }
    many = [result | {"name": f"d{number}", "message": "x" * 900} for number in range(40)]
    state = {"phase": "Running", "syncResult": {"revision": "main", "resources": many}}
    lines = explained(judge(_changed({"alpha": {"status": {"operationState": state}}})))
    assert lines[-1] == "  … and 29 more"
    assert max(map(len, lines)) < 500
    assert str(lacking([Verdict(f"a{number}", "absent") for number in range(7)])).endswith(", and 2 more")


def _strict(schema: Any) -> Any:
    """A schema in which an unknown field is a fault."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _strict(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture(scope="module")
def crds() -> dict[str, Any]:
    """The schemas of Argo CD's kinds, from its pinned install manifest."""
    if not MANIFEST:
        pytest.skip("RZP_ARGOCD_MANIFEST names no copy of Argo CD's install manifest")
    found = {}
    for text in Path(MANIFEST).read_text().split("\n---\n"):
        if "\nkind: CustomResourceDefinition\n" in text:
            spec = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]
            schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
            found[spec["names"]["kind"]] = jsonschema.Draft202012Validator(_strict(schema))
    return found


def test_a_recorded_answer_is_what_the_crds_allow(crds: dict[str, Any]) -> None:
    for item in (*(item for tree in TREES for item in _answer(tree)), *_recorded().values()):
        crds[item["kind"]].validate(item)


@pytest.mark.parametrize("name", CASES)
def test_a_changed_answer_is_what_the_crds_allow(name: str, crds: dict[str, Any]) -> None:
    for item in _changed(CASES[name]["change"]):
        crds[item["kind"]].validate(item)
