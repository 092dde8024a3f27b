"""kubectl against one stand-in server, in the forms that the deploys use."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bootstrap.lab import standin

STANDIN = Path(standin.__file__).parent / "argocd.yaml"
REAL = os.environ.get("RZP_ARGOCD_MANIFEST")
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=rzp-infra")
CRDS = [f"crd/{name}.argoproj.io" for name in ("applications", "applicationsets", "appprojects")]


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def namespace(name: str, **annotations: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}


OPEN = {
    "/ping": (200, "pong"),
    "/cacerts": (200, "-----BEGIN"),
    "/readyz": (401, ""),
    "/v1-k3s/config": (401, ""),
}


@pytest.mark.parametrize("path", OPEN)
def test_only_ping_and_cacerts_are_open(lone: Any, path: str) -> None:
    context = ssl.create_default_context(cadata=(lone.server / "tls/server-ca.crt").read_text())
    try:
        with urllib.request.urlopen(lone.url + path, context=context, timeout=5) as answer:
            found = answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        found = refused.code, ""
        refused.close()

    assert found[0] == OPEN[path][0]
    assert found[1].startswith(OPEN[path][1])


def test_readyz_is_ok_and_the_banner_stands_beside_what_people_read(lone: Any) -> None:
    assert lone.kubectl("get", "--raw", "/readyz").stdout == "ok"
    nodes = lone.kubectl("get", "nodes,deployments", "-o", "wide")

    assert "Ready=True EtcdIsVoter=True" in nodes.stdout
    assert "stand-in" in nodes.stderr
    assert lone.kubectl("get", "nodes", "-o", "json").stderr == ""


def test_applying_the_same_twice_changes_nothing(lone: Any) -> None:
    said = lone.apply(config("same", a="1"))
    before = lone.json("configmap", "same")
    lone.apply(config("same", a="1"))

    assert "configmap/same serverside-applied" in said
    assert lone.json("configmap/same") == before
    lone.apply(config("same", a="2"))
    after = lone.json("configmap", "same")
    assert after["data"] == {"a": "2"}
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


def test_what_its_manager_no_longer_names_is_removed_and_what_others_set_stays(lone: Any) -> None:
    lone.apply(namespace("shrunk", a="1", b="1"))
    lone.apply(namespace("shrunk", c="1"), flags=("--field-manager=theirs",))
    lone.apply(namespace("shrunk", a="1"))

    assert lone.json("namespace", "shrunk")["metadata"]["annotations"] == {"a": "1", "c": "1"}


def test_a_secret_given_as_text_is_kept_as_data(lone: Any) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}
    lone.apply(secret)
    shown = lone.json("secret/s")

    assert shown["data"] == {"k": "dg=="}
    assert "stringData" not in shown


ERRORS = {
    "get configmap nowhere": 'Error from server (NotFound): configmaps "nowhere" not found',
    "get gadgets": 'error: the server doesn\'t have a resource type "gadgets"',
    "get deployments.apps x": 'Error from server (NotFound): deployments.apps "x" not found',
    "get --raw /nothing": "Error from server (NotFound): the server could not find the requested resource",
    "wait --for=condition=Ready node/lone --timeout=x": "argument --timeout: invalid",
    "wait --for=delete node/lone": "`wait --for=delete` is not imitated",
    "wait --for=condition=Gone node/lone --timeout=0s": "timed out waiting for the condition on node/lone",
    "label node lone a=1": "`label` without --overwrite is not imitated",
    "apply --server-side -f -": "`apply` without --force-conflicts is not imitated",
    "delete namespace default": "deleting a Namespace is not imitated",
    "get nodes --watch": "unrecognized arguments: --watch",
    "frobnicate": 'error: unknown command "frobnicate"',
}


@pytest.mark.parametrize("command", ERRORS)
def test_errors_are_kubectls_or_say_what_is_not_imitated(lone: Any, command: str) -> None:
    done = lone.kubectl(*command.split())

    assert done.returncode == 1
    assert ERRORS[command] in done.stderr


def test_an_unknown_kind_or_namespace_fails_and_the_others_are_applied(lone: Any) -> None:
    gadget = {"apiVersion": "x.y/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    elsewhere = config("lost") | {"metadata": {"name": "lost", "namespace": "absent"}}
    said = lone.apply(gadget, elsewhere, config("beside", a="1"))

    assert 'no matches for kind "Gadget" in version "x.y/v1"; ensure CRDs are installed first' in said
    assert 'Error from server (NotFound): namespaces "absent" not found' in said
    assert "configmap/beside serverside-applied" in said


def test_labels_taints_and_annotations_of_a_node(lone: Any) -> None:
    for words in (
        ("label", "node", "lone", "--overwrite", "a=1", "b=2"),
        ("label", "node", "lone", "--overwrite", "a=3", "b-"),
        ("annotate", "node", "lone", "--overwrite", "note=x", "empty="),
        ("taint", "node", "lone", "--overwrite", "k=v:NoSchedule", "gone:NoExecute"),
        ("taint", "node", "lone", "--overwrite", "gone:NoExecute-"),
    ):
        assert lone.kubectl(*words).returncode == 0, words
    node = lone.json("node", "lone")

    assert node["metadata"]["labels"]["a"] == "3"
    assert "b" not in node["metadata"]["labels"]
    assert node["metadata"]["annotations"]["note"] == "x"
    assert node["metadata"]["annotations"]["empty"] == ""
    assert node["spec"]["taints"] == [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    lone.kubectl("label", "node", "lone", "--overwrite", "a=3")
    assert lone.json("node", "lone")["metadata"]["resourceVersion"] == node["metadata"]["resourceVersion"]


def test_several_kinds_come_in_one_call(lone: Any) -> None:
    lone.apply(config("seen"), flags=("-n", "kube-system"))
    kinds = {item["kind"] for item in lone.json("nodes,namespaces,configmaps", "-A")["items"]}

    assert {"Node", "Namespace", "ConfigMap"} <= kinds
    assert lone.json("pods", "-n", "kube-system")["items"] == []


@pytest.mark.parametrize(
    ("space", "manifest", "objects"),
    [
        ("argocd", str(STANDIN), 12),
        pytest.param(
            "real", REAL, 59, marks=pytest.mark.skipif(not REAL, reason="RZP_ARGOCD_MANIFEST names no file")
        ),
    ],
)
def test_a_whole_hand_over_to_argo_cd(lone: Any, space: str, manifest: str, objects: int) -> None:
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "spec": {"project": "default"},
    }
    application["metadata"] = {"name": "root", "namespace": space}
    lone.apply(namespace(space))
    said = lone.kubectl(*APPLY, "-n", space, "-f", manifest)

    assert said.stdout.count("serverside-applied") == objects, said.stderr
    assert lone.kubectl("wait", "--for=condition=Established", "--timeout=60s", *CRDS).returncode == 0
    before = versions(lone, space)
    lone.kubectl(*APPLY, "-n", space, "-f", manifest)
    assert versions(lone, space) == before
    assert "application.argoproj.io/root serverside-applied" in lone.apply(application, flags=("-n", space))
    lone.until_available(space, 7)


def test_a_diff_shows_what_an_apply_would_change_and_changes_nothing(lone: Any) -> None:
    words = ("diff", *APPLY[1:], "-f", "-")
    lone.apply(config("compared", a="1"), flags=("--field-manager=rzp-infra",))
    same = lone.kubectl(*words, text=json.dumps(config("compared", a="1")))
    other = lone.kubectl(*words, text=json.dumps(config("compared", a="2")))
    new = lone.kubectl(*words, text=json.dumps(config("not-there-yet", a="3")))

    assert (same.returncode, same.stdout) == (0, "")
    assert other.returncode == 1
    assert '-    "a": "1"' in other.stdout
    assert '+    "a": "2"' in other.stdout
    assert new.returncode == 1
    assert '+    "a": "3"' in new.stdout
    assert lone.json("configmap", "compared")["data"] == {"a": "1"}
    assert lone.kubectl("get", "configmap", "not-there-yet").returncode == 1


def test_a_diff_that_cannot_be_made_ends_with_more_than_one(lone: Any) -> None:
    gadget = {"apiVersion": "x.y/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    done = lone.kubectl("diff", *APPLY[1:], "-f", "-", text=json.dumps(gadget))

    assert done.returncode == 2
    assert 'no matches for kind "Gadget"' in done.stderr


def versions(server: Any, space: str) -> dict[str, str]:
    items = server.json("deployments,configmaps,crd", "-n", space)["items"]
    return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}
