"""Kubernetes' own paths for the objects of a kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootstrap.lab.standin.k3s.client import Client, Refused


def client(lone: Any, *, admin: bool = True) -> Client:
    tls = lone.server / "tls"
    pair = (tls / "client-admin.crt", tls / "client-admin.key")
    return Client(lone.url, (tls / "server-ca.crt").read_text(), certificate=pair if admin else None)


def names(lone: Any, path: str) -> tuple[str, str, list[str]]:
    found = json.loads(client(lone).get(path))
    return found["apiVersion"], found["kind"], [item["metadata"]["name"] for item in found["items"]]


def test_objects_are_listed_by_group_version_and_namespace(lone: Any) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "listed"}}
    lone.apply(config, flags=("-n", "default"))

    assert names(lone, "/api/v1/nodes") == ("v1", "NodeList", ["lone"])
    assert "listed" in names(lone, "/api/v1/configmaps")[2]
    assert "listed" in names(lone, "/api/v1/namespaces/default/configmaps")[2]
    assert "listed" not in names(lone, "/api/v1/namespaces/kube-system/configmaps")[2]
    assert names(lone, "/apis/apps/v1/namespaces/nowhere/deployments") == ("apps/v1", "DeploymentList", [])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/apis/example.org/v1/things", 404),
        ("/api/v2/nodes", 404),
        ("/apis/v1/nodes", 501),
        ("/api/v1/nodes/lone", 501),
        ("/api/v1/nodes?limit=1", 501),
    ],
)
def test_what_is_not_served_is_refused(lone: Any, path: str, status: int) -> None:
    with pytest.raises(Refused) as caught:
        client(lone).get(path)

    assert caught.value.status == status


def test_a_stranger_sees_no_objects(lone: Any) -> None:
    with pytest.raises(Refused) as caught:
        client(lone, admin=False).get("/api/v1/nodes")

    assert caught.value.status == 401
