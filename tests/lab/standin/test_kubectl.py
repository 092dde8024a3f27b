"""kubectl against one stand-in server."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.lab import standin

ARGOCD = Path(standin.__file__).parent / "argocd.yaml"
CONTROLLERS = [
    "statefulset/argocd-application-controller",
    *(
        f"deployment/argocd-{name}"
        for name in (
            "applicationset-controller",
            "dex-server",
            "notifications-controller",
            "redis",
            "repo-server",
        )
    ),
    "deployment/argocd-server",
]
MINE = ("--field-manager=mine",)
THEIRS = ("--field-manager=theirs",)


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/ping", 200, "pong"),
        ("/cacerts", 200, "-----BEGIN"),
        ("/readyz", 401, ""),
        ("/v1-k3s/config", 401, ""),
    ],
)
def test_only_ping_and_cacerts_are_open(lone: Any, path: str, status: int, body: str) -> None:
    context = ssl.create_default_context(cadata=(lone.server / "tls/server-ca.crt").read_text())
    try:
        with urllib.request.urlopen(lone.url + path, context=context, timeout=5) as answer:
            found = answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        found = refused.code, ""
        refused.close()

    assert found[0] == status
    assert found[1].startswith(body)


def test_the_version_says_that_it_is_a_stand_in(lone: Any) -> None:
    human, machine = lone.kubectl("version"), lone.kubectl("version", "-o", "json")

    assert f"Server Version: {standin.K3S_VERSION}" in human.stdout
    assert "stand-in" in human.stderr
    assert json.loads(machine.stdout)["serverVersion"]["gitVersion"].endswith("standin")
    assert machine.stderr == ""


def test_applying_the_same_twice_changes_nothing(lone: Any) -> None:
    said = lone.apply(config("same", a="1"), flags=MINE)
    before = lone.json("cm", "same")
    lone.apply(config("same", a="1"), flags=MINE)

    assert "configmap/same serverside-applied" in said
    assert lone.json("cm", "same") == before
    lone.apply(config("same", a="2"), flags=MINE)
    after = lone.json("cm", "same")
    assert after["data"] == {"a": "2"}
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


def test_another_manager_conflicts_unless_it_forces(lone: Any) -> None:
    lone.apply(config("fought", a="1", b="1"), flags=MINE)
    refused = lone.apply(config("fought", a="2", c="1"), flags=THEIRS)
    lone.apply(config("fought", a="2", c="1"), flags=(*THEIRS, "--force-conflicts"))
    lone.apply(config("fought", b="1"), flags=MINE)

    assert 'Apply failed with 1 conflict: conflicts with "mine" using v1:\n- .data.a' in refused
    body = lone.json("cm", "fought", "--show-managed-fields")
    assert body["data"] == {"a": "2", "b": "1", "c": "1"}
    managers = {entry["manager"]: entry["fieldsV1"]["f:data"] for entry in body["metadata"]["managedFields"]}
    assert managers == {"mine": {"f:b": {}}, "theirs": {"f:a": {}, "f:c": {}}}


def test_what_an_apply_no_longer_names_is_removed(lone: Any) -> None:
    lone.apply(config("shrunk", a="1", b="1"), flags=MINE)
    lone.apply(config("shrunk", a="1"), flags=MINE)

    assert lone.json("cm", "shrunk")["data"] == {"a": "1"}


def test_a_diff_is_quiet_about_what_is_the_same(lone: Any) -> None:
    lone.apply(config("seen", a="1"))
    same = lone.kubectl("diff", "--server-side", "-f", "-", text=yaml.safe_dump(config("seen", a="1")))
    other = lone.kubectl("diff", "--server-side", "-f", "-", text=yaml.safe_dump(config("seen", a="2")))

    assert (same.returncode, same.stdout) == (0, "")
    assert other.returncode == 1
    assert "+  a: '2'" in other.stdout


def test_a_secret_given_as_text_is_kept_as_data(lone: Any) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    lone.apply(secret)

    assert lone.json("secret", "s")["data"] == {"k": "dg=="}
    assert "stringData" not in lone.json("secret", "s")


ERRORS = {
    "get cm nowhere": 'Error from server (NotFound): configmaps "nowhere" not found',
    "get gadgets": 'error: the server doesn\'t have a resource type "gadgets"',
    "get deploy x": 'Error from server (NotFound): deployments.apps "x" not found',
    "create namespace default": 'Error from server (AlreadyExists): namespaces "default" already exists',
    "get --raw /nothing": "Error from server (NotFound): the server could not find the requested resource",
    "taint node lone nothing-": 'error: taint "nothing" not found',
    "label node lone kubernetes.io/os=bsd": "'kubernetes.io/os' already has a value (linux), and --overwrite is false",
    "wait --for=condition=Ready node/lone --timeout=x": 'error: invalid argument "x" for "--timeout" flag',
    "frobnicate": 'error: unknown command "frobnicate"',
}


@pytest.mark.parametrize("command", ERRORS)
def test_errors_are_kubectls(lone: Any, command: str) -> None:
    done = lone.kubectl(*command.split())

    assert done.returncode == 1
    assert ERRORS[command] in done.stderr


def test_an_unknown_kind_fails_and_the_others_are_applied(lone: Any) -> None:
    gadget = {"apiVersion": "x.y/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    said = lone.apply(gadget, config("beside", a="1"))

    assert 'no matches for kind "Gadget" in version "x.y/v1"\nensure CRDs are installed first' in said
    assert "configmap/beside serverside-applied" in said


def test_an_object_needs_its_namespace(lone: Any) -> None:
    said = lone.apply(config("x"), flags=("-n", "absent"))

    assert 'Error from server (NotFound): namespaces "absent" not found' in said


def test_labels_taints_and_annotations_of_a_node(lone: Any) -> None:
    for words in (
        ("label", "node", "lone", "a=1", "b=2"),
        ("label", "node", "lone", "--overwrite", "a=3", "b-"),
        ("annotate", "node", "lone", "note=x"),
        ("taint", "node", "lone", "k=v:NoSchedule", "gone:NoExecute"),
        ("taint", "node", "lone", "gone:NoExecute-"),
    ):
        assert lone.kubectl(*words).returncode == 0, words
    node = lone.json("node", "lone")

    assert node["metadata"]["labels"]["a"] == "3"
    assert "b" not in node["metadata"]["labels"]
    assert node["metadata"]["annotations"]["note"] == "x"
    assert node["spec"]["taints"] == [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    again = lone.kubectl("label", "node", "lone", "a=3")
    assert again.stdout == "node/lone not labeled\n"


def test_several_kinds_come_in_one_call_and_selectors_choose(lone: Any) -> None:
    lone.apply(config("chosen") | {"metadata": {"name": "chosen", "labels": {"pick": "me"}}})

    kinds = {item["kind"] for item in lone.json("nodes,namespaces,configmaps", "-A")["items"]}
    chosen = lone.json("cm", "-A", "-l", "pick=me")["items"]
    assert {"Node", "Namespace", "ConfigMap"} <= kinds
    assert [item["metadata"]["name"] for item in chosen] == ["chosen"]


def test_the_stand_in_manifest_of_argo_cd_goes_through_a_whole_hand_over(lone: Any) -> None:
    lone.kubectl("create", "namespace", "argocd")
    install = (
        "--server-side",
        "--force-conflicts",
        "--field-manager=rzp-infra",
        "-n",
        "argocd",
        "-f",
        str(ARGOCD),
    )
    crds = [f"crd/{name}.argoproj.io" for name in ("applications", "applicationsets", "appprojects")]
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "root", "namespace": "argocd"},
        "spec": {"project": "default"},
    }

    assert lone.kubectl("apply", *install).returncode == 0
    assert lone.kubectl("wait", "--for=condition=Established", "--timeout=10s", *crds).returncode == 0
    rollout = lone.kubectl("-n", "argocd", "rollout", "status", "--timeout=10s", *CONTROLLERS)
    assert rollout.returncode == 0, rollout.stderr
    assert 'deployment "argocd-server" successfully rolled out' in rollout.stdout
    assert "application.argoproj.io/root serverside-applied" in lone.apply(application)
    assert "status" not in lone.json("applications.argoproj.io/root", "-n", "argocd")
    lone.kubectl("delete", "crd", "applications.argoproj.io")
    assert 'resource type "applications"' in lone.kubectl("get", "applications", "-A").stderr


def test_the_real_manifest_of_argo_cd_applies(lone: Any) -> None:
    manifest = os.environ.get("RZP_ARGOCD_MANIFEST")
    if not manifest:
        pytest.skip("RZP_ARGOCD_MANIFEST does not name the real install manifest")
    lone.kubectl("create", "namespace", "real")
    words = (
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=rzp-infra",
        "-n",
        "real",
        "-f",
        manifest,
    )
    first = lone.kubectl(*words)
    before = versions(lone)
    lone.kubectl(*words)

    assert first.stdout.count("serverside-applied") == 59
    assert versions(lone) == before


def versions(server: Any) -> dict[str, str]:
    items = server.json("deployments,configmaps,crd", "-n", "real")["items"]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}
