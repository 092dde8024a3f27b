"""The judgement of Argo CD's answers; what they are is told in fixtures/argocd."""

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
RECORDED = sorted(path.stem for path in FIXTURES.glob("*.json"))
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


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_is_what_the_crds_allow(name: str, crds: dict[str, Any]) -> None:
    for item in _answer(name):
        crds[item["kind"]].validate(item)


@pytest.mark.parametrize("name", CASES)
def test_a_changed_answer_is_what_the_crds_allow(name: str, crds: dict[str, Any]) -> None:
    for item in _changed(CASES[name]["change"]):
        crds[item["kind"]].validate(item)
