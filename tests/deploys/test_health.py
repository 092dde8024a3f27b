"""The judgement of Argo CD's answers. The answers are doubles: a recorded one, and changes of it as the CRDs allow them."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploys.health import Verdict, explained, judge, lacking
from deploys.hopes import Hopes

Body = dict[str, Any]
Change = Callable[[dict[str, Body]], object]

FIXTURES = Path(__file__).parent / "fixtures" / "argocd"
MANIFEST = os.environ.get("RZP_ARGOCD_MANIFEST")
COMMIT = "9e14e14de0d04c74181f7bf7c4177838b71895b9"
LOAD = "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = "


def _answer(name: str) -> list[Body]:
    return list(json.loads((FIXTURES / f"{name}.json").read_text())["items"])


def _changed(change: Change) -> list[Body]:
    """The healthy answer, changed by name of the object; one that is removed is gone."""
    found = {item["metadata"]["name"]: item for item in copy.deepcopy(_answer("healthy"))}
    change(found)
    return list(found.values())


def _status(name: str, **fields: Any) -> Change:
    return lambda found: found[name]["status"].update(fields)


def _unknown(name: str, kind: str, message: str) -> Change:
    """Argo CD could not compare; the status is about the present spec all the same."""

    def change(found: dict[str, Body]) -> None:
        status = found[name]["status"]
        status["sync"]["status"] = "Unknown"
        status["conditions"] = [{"type": kind, "message": message}]
        status.pop("operationState")

    return change


def _invalid(name: str, message: str) -> Change:
    """An Application that Argo CD does not even compare."""

    def change(found: dict[str, Body]) -> None:
        conditions = [{"type": "InvalidSpecError", "message": message}]
        nothing = {"sync": {"status": "Unknown"}, "health": {"status": "Unknown"}}
        found[name]["status"] = nothing | {"conditions": conditions}

    return change


def _syncing(name: str, phase: str, message: str, *results: Body) -> Change:
    def change(found: dict[str, Body]) -> None:
        status = found[name]["status"]
        status["sync"]["status"] = "OutOfSync"
        source = found[name]["spec"]["source"]
        result = {"revision": COMMIT, "source": source, "resources": list(results)}
        status["operationState"] |= {"phase": phase, "message": message, "syncResult": result}

    return change


def _result(kind: str, name: str, status: str, message: str = "", group: str = "argoproj.io") -> Body:
    place = {"group": group, "version": "v1", "kind": kind, "namespace": "alpha", "name": name}
    return place | {"status": status, "message": message, "syncPhase": "Sync"}


def _all(*changes: Change) -> Change:
    return lambda found: [change(found) for change in changes]


def _next_revision(found: dict[str, Body]) -> None:
    found["root"]["spec"]["source"]["targetRevision"] = "next"


NO_CRD = (
    "The Kubernetes API could not find cert-manager.io/Certificate for requested resource alpha/alpha. "
    'Make sure the "Certificate" CRD is installed on the destination cluster.'
)
WAITING = "waiting for healthy state of argoproj.io/Application/alpha"
HELD = _syncing("root", "Running", WAITING, _result("Application", "alpha", "Synced"))
NOT_YET = _syncing("root", "Running", WAITING, _result("Application", "beta", "Synced"))
NO_PATH = _unknown("alpha", "ComparisonError", f"{LOAD}kubernetes/core/alpha: app path does not exist")
GIVEN_UP = "one or more synchronization tasks are not valid (retried 10 times)."

# what is changed; what is missing, in one line; a reason; what only a person can change
CASES: dict[str, tuple[Change, str, str, str | None]] = {
    "progressing": (
        _all(HELD, _status("alpha", health={"status": "Progressing"}), lambda found: found.pop("beta")),
        "root OutOfSync/Healthy; a sync is running, alpha Synced/Progressing, beta absent",
        f"  sync Running: {WAITING}",
        None,
    ),
    "degraded": (
        _status("alpha", health={"status": "Degraded"}),
        "alpha Synced/Degraded",
        "alpha: Synced/Degraded",
        None,
    ),
    "degraded, and Argo CD keeps the health of resources": (
        _status(
            "alpha",
            health={"status": "Degraded"},
            resources=[
                {
                    "kind": "Deployment",
                    "group": "apps",
                    "namespace": "alpha",
                    "name": "alpha",
                    "status": "Synced",
                    "health": {"status": "Degraded", "message": "exceeded its progress deadline"},
                }
            ],
        ),
        "alpha Synced/Degraded",
        "  Deployment alpha/alpha Degraded: exceeded its progress deadline",
        None,
    ),
    "a missing CRD": (
        _syncing(
            "alpha",
            "Running",
            "one or more synchronization tasks are not valid. Retrying attempt #3 at 10:04AM.",
            _result("Certificate", "alpha", "SyncFailed", NO_CRD, "cert-manager.io"),
        ),
        "alpha OutOfSync/Healthy; a sync is running",
        "→ the cluster has no CRD for Certificate.cert-manager.io: an Application of an earlier wave should bring it",
        None,
    ),
    "a missing CRD, in the API server's words": (
        _syncing("alpha", "Failed", 'no matches for kind "IngressRoute" in version "traefik.io/v1alpha1"'),
        "alpha OutOfSync/Healthy",
        "no CRD for IngressRoute.traefik.io",
        None,
    ),
    "an unknown repository": (
        _unknown(
            "root",
            "ComparisonError",
            f"{LOAD}failed to list refs: authentication required: Repository not found.",
        ),
        "root Unknown/Healthy",
        "→ the repository is unknown or refuses the credential: check gitops.repository and the secrets gitops.*",
        "root: ComparisonError",
    ),
    "a repository that cannot be reached": (
        _unknown("root", "ComparisonError", f"{LOAD}dial tcp: lookup git.example: no such host"),
        "root Unknown/Healthy",
        "→ it cannot be reached from the cluster",
        None,
    ),
    "an unknown host key": (
        _unknown("root", "ComparisonError", f"{LOAD}ssh: handshake failed: knownhosts: key is unknown"),
        "root Unknown/Healthy",
        "→ Argo CD does not know the Git server's host key: docs/gitops.md",
        "root: ComparisonError",
    ),
    "an unknown revision": (
        _unknown("root", "ComparisonError", f"{LOAD}unable to resolve 'nowhere' to a commit SHA"),
        "root Unknown/Healthy",
        "→ the repository has no revision nowhere: push it",
        "root: ComparisonError",
    ),
    "a chart that is not there": (
        _unknown(
            "beta",
            "ComparisonError",
            f'{LOAD}Error: chart "dummy" version "9.9.9" not found in https://charts.example repository',
        ),
        "beta Unknown/Healthy",
        "→ compare the pin in bootstrap/config/pins.py",
        "beta: ComparisonError",
    ),
    "a folder that is not there": (NO_PATH, "alpha Unknown/Healthy", "→ the folder is not in", "alpha: "),
    "a folder that root is about to bring": (_all(NO_PATH, NOT_YET), "alpha Unknown/Healthy", "→", None),
    "a folder that is not in what root has just brought": (
        _all(NO_PATH, HELD),
        "alpha Unknown/Healthy",
        "→ the folder is not in",
        "alpha: ",
    ),
    "given up": (
        _all(
            _syncing("alpha", "Failed", GIVEN_UP),
            _status(
                "alpha",
                conditions=[
                    {
                        "type": "SyncError",
                        "message": f"Failed last sync attempt to [{COMMIT}]: {GIVEN_UP}",
                    }
                ],
            ),
        ),
        "alpha OutOfSync/Healthy",
        "→ Argo CD gave up on this revision",
        "alpha: SyncError",
    ),
    "a project that is not there yet": (
        _invalid("alpha", "Application referencing project core which does not exist"),
        "alpha Unknown/Unknown",
        "→ root brings the AppProject core in its first wave",
        None,
    ),
    "an Application that is not complete": (
        _invalid(
            "alpha", "spec.source.repoURL and either spec.source.path or spec.source.chart are required"
        ),
        "alpha Unknown/Unknown",
        "→ the Application is not complete",
        "alpha: InvalidSpecError",
    ),
    "a status about an earlier spec": (
        _next_revision,
        "root Synced/Healthy; its status is about an earlier spec",
        "root: Synced/Healthy",
        None,
    ),
    "an error about an earlier spec": (
        _all(
            _unknown("root", "ComparisonError", f"{LOAD}unable to resolve 'nowhere' to a commit SHA"),
            _next_revision,
        ),
        "root Unknown/Healthy; its status is about an earlier spec",
        "→ the repository has no revision nowhere",
        None,
    ),
    "just applied": (
        lambda found: found["root"].pop("status"),
        "root has no status yet",
        "root: has no status yet",
        None,
    ),
    "a sync that was asked for": (
        lambda found: found["alpha"].update(operation={"sync": {}}),
        "alpha Synced/Healthy; a sync is running",
        "alpha: Synced/Healthy",
        None,
    ),
    "being deleted": (
        lambda found: found["alpha"]["metadata"].update(deletionTimestamp="2026-01-10T10:00:00Z"),
        "alpha Synced/Healthy; it is being deleted",
        "alpha: Synced/Healthy",
        None,
    ),
    "an ApplicationSet that cannot generate": (
        _status(
            "apps",
            conditions=[
                {
                    "type": "ErrorOccurred",
                    "status": "True",
                    "reason": "ApplicationGenerationFromParamsError",
                    "message": "failed to list refs: authentication required",
                }
            ],
        ),
        "applicationset/apps ErrorOccurred=True",
        "→ the repository is unknown or refuses the credential",
        None,
    ),
    "an ApplicationSet that nobody has looked at": (
        _status("apps", conditions=[]),
        "applicationset/apps has no status yet",
        "applicationset/apps: has no status yet",
        None,
    ),
    "an ApplicationSet that is gone": (
        lambda found: found.pop("apps"),
        "applicationset/apps absent",
        "applicationset/apps: absent",
        None,
    ),
    "an Application that a set has not made": (
        lambda found: found.pop("one"),
        "one absent",
        "one: absent",
        None,
    ),
    "no root": (lambda found: found.pop("root"), "root absent", "root: absent", None),
}


@pytest.mark.parametrize(("change", "missing", "reason", "hopeless"), CASES.values(), ids=CASES)
def test_what_is_missing_is_said_with_its_reason_and_its_fix(
    change: Change, missing: str, reason: str, hopeless: str | None
) -> None:
    verdicts = judge(_changed(change))
    assert missing in str(lacking(verdicts, most=9))
    assert reason in "\n".join(explained(verdicts))
    found = [verdict.hopeless for verdict in verdicts if verdict.hopeless]
    assert [text.startswith(hopeless) for text in found] == [True] if hopeless else not found


def test_synced_and_healthy_is_nothing_to_be_told() -> None:
    verdicts = judge(_answer("healthy"))
    assert {verdict.name for verdict in verdicts} == {"root", "alpha", "beta", "one", "applicationset/apps"}
    assert lacking(verdicts) is None
    assert explained(verdicts) == []


def test_suspended_is_fine() -> None:
    assert lacking(judge(_changed(_status("one", health={"status": "Suspended"})))) is None


def test_what_is_empty_or_false_in_a_spec_makes_no_status_stale() -> None:
    """The API server keeps it as it was applied, the controller leaves it out."""

    def change(found: dict[str, Body]) -> None:
        found["alpha"]["spec"]["source"]["kustomize"] = {"forceCommonLabels": False, "images": []}

    assert lacking(judge(_changed(change))) is None


def test_one_of_several_sources_that_changed_makes_a_status_stale() -> None:
    def change(found: dict[str, Body]) -> None:
        found["beta"]["spec"]["sources"][1]["targetRevision"] = "1.0.1"

    assert "beta Synced/Healthy; its status is about an earlier spec" in str(lacking(judge(_changed(change))))


def test_a_long_list_and_a_long_message_are_cut() -> None:
    many = [_result("Deployment", f"d{number}", "SyncFailed", "x" * 900, "apps") for number in range(40)]
    verdicts = judge(_changed(_syncing("alpha", "Running", "failed", *many)))
    lines = explained(verdicts)
    assert lines[-1] == "  … and 29 more"
    assert max(map(len, lines)) < 500
    assert str(lacking([Verdict(f"a{number}", "absent") for number in range(7)])).endswith(", and 2 more")


def test_a_hopeless_verdict_from_before_the_wait_gets_the_time_of_one_refresh() -> None:
    now = 0.0
    hopes = Hopes(seconds=240, now=lambda: now)
    assert hopes.lost([Verdict("root", "Unknown", hopeless="no revision")]) is None
    now = 239
    assert hopes.lost([Verdict("root", "Unknown", hopeless="no revision")]) is None
    now = 240
    assert hopes.lost([Verdict("root", "Unknown", hopeless="no revision")]) == "no revision"


def test_a_hopeless_verdict_that_comes_during_the_wait_counts_at_once() -> None:
    hopes = Hopes(now=lambda: 0.0)
    stands, came = Verdict("a", "x", hopeless="old"), Verdict("b", "x", hopeless="new")
    assert hopes.lost([stands]) is None
    assert hopes.lost([stands, came]) == "new"
    assert hopes.lost([]) is None
    assert hopes.lost([stands]) == "old"


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
            found[spec["names"]["kind"]] = _strict(schema)
    return found


@pytest.mark.parametrize("name", [path.stem for path in sorted(FIXTURES.glob("*.json"))])
def test_a_fixture_is_what_the_crds_allow(name: str, crds: dict[str, Any]) -> None:
    for item in _answer(name):
        jsonschema.Draft202012Validator(crds[item["kind"]]).validate(item)


@pytest.mark.parametrize("name", CASES)
def test_a_changed_answer_is_what_the_crds_allow(name: str, crds: dict[str, Any]) -> None:
    for item in _changed(CASES[name][0]):
        jsonschema.Draft202012Validator(crds[item["kind"]]).validate(item)
