"""Three servers and one agent: they join one after the other, and a rebuilt first server founds no second cluster."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
SERVERS = ("10.77.0.20", "10.77.0.21", "10.77.0.22")
NAMES = ("demo-server-1", "demo-server-2", "demo-server-3", "demo-agent-1")
DEPLOY = ("inventories/demo.py", "deploys/k3s.py")


@pytest.fixture(scope="module")
def cluster(desk: Any) -> Any:
    """The demo with three servers and one agent."""
    config = desk.folder / "bootstrap" / "config" / "demo.py"
    text = config.read_text()
    config.write_text(
        text.replace("ServerPool(count=1", "ServerPool(count=3").replace("count=2,\n", "count=1,\n")
    )
    desk.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "Three servers")
    desk.run("rzp-bootstrap", "lab", "start")
    desk.inside("rzp-bootstrap", "demo", "-y")
    return desk


def _nodes(desk: Any, server: str) -> dict[str, dict[str, str]]:
    """Node name → condition → status, asked of one server."""
    said = desk.ssh("demo", server, "sudo k3s kubectl get nodes -o json 2>/dev/null")
    return {
        node["metadata"]["name"]: {c["type"]: c["status"] for c in node["status"]["conditions"]}
        for node in json.loads(said)["items"]
    }


def test_three_servers_join_and_vote(cluster: Any) -> None:
    cluster.inside("pyinfra", "-y", *DEPLOY, limit=420)

    for server in SERVERS:
        nodes = _nodes(cluster, server)
        assert set(nodes) == set(NAMES)
        assert [nodes[name]["EtcdIsVoter"] for name in NAMES[:3]] == ["True"] * 3
        assert all(conditions["Ready"] == "True" for conditions in nodes.values())


def test_joiners_pin_the_clusters_ca(cluster: Any) -> None:
    for server in SERVERS[1:]:
        assert cluster.ssh("demo", server, "sudo head -c 3 /etc/rancher/k3s/token") == "K10"


def test_a_rebuilt_first_server_founds_no_second_cluster(cluster: Any) -> None:
    before = cluster.ssh("demo", SERVERS[1], "sudo sha256sum /var/lib/rancher/k3s/server/tls/server-ca.crt")
    cluster.api("POST", "/nodes/pve1/qemu/920/status/stop")
    time.sleep(1)
    cluster.api("DELETE", "/nodes/pve1/qemu/920")
    time.sleep(1)
    cluster.inside("rzp-bootstrap", "demo", "-y")

    refused = cluster.inside("pyinfra", "-y", *DEPLOY, expect=None, limit=420)

    assert refused.returncode == 1, "its old Node is still there, so it cannot join by itself"
    assert set(_nodes(cluster, SERVERS[1])) == set(NAMES)
    assert (
        cluster.ssh("demo", SERVERS[1], "sudo sha256sum /var/lib/rancher/k3s/server/tls/server-ca.crt")
        == before
    )
    found = cluster.ssh(
        "demo", SERVERS[0], "sudo sh -c 'cat /etc/rancher/k3s/config.yaml /etc/rancher/k3s/config.yaml.d/*'"
    )
    assert "cluster-init" not in found
    assert "server: " in found

    cluster.ssh("demo", SERVERS[1], "sudo k3s kubectl delete node demo-server-1")
    cluster.ssh(
        "demo",
        SERVERS[1],
        "sudo k3s kubectl -n kube-system delete secret demo-server-1.node-password.k3s",
        expect=None,
    )
    cluster.inside("pyinfra", "-y", *DEPLOY, limit=420)

    nodes = _nodes(cluster, SERVERS[0])
    assert set(nodes) == set(NAMES)
    assert nodes["demo-server-1"]["EtcdIsVoter"] == "True"
    assert (
        cluster.ssh("demo", SERVERS[0], "sudo sha256sum /var/lib/rancher/k3s/server/tls/server-ca.crt")
        == before
    )
