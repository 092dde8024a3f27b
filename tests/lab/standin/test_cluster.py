"""Servers and agents of the stand-in together: joining, voting, restarting, being rebuilt."""

from __future__ import annotations

import signal
import socket
import time
from typing import Any

from bootstrap.lab.standin.k3s.tokens import ca_hash


def test_three_servers_and_an_agent_join_survive_the_first_and_a_restart_of_all(machine: Any) -> None:
    first, second, third = machine("s1", cluster_init=True), machine("s2"), machine("s3")
    agent = machine("a1", node_label=["pool=agent"], node_taint=["only=me:NoSchedule"])
    first.start()
    for joiner, role in ((second, "server"), (third, "server"), (agent, "agent")):
        joiner.values["server"] = first.url
        joiner.secure(first)
        joiner.start(role)
        first.votes(*[m.name for m in (first, second, third) if m.process])
    nodes = {node["metadata"]["name"]: node for node in third.json("nodes")["items"]}

    assert set(nodes) == {"s1", "s2", "s3", "a1"}
    assert set(third.conditions("Ready").values()) == {"True"}
    assert nodes["s2"]["metadata"]["labels"]["node-role.kubernetes.io/etcd"] == "true"
    assert nodes["a1"]["metadata"]["labels"]["pool"] == "agent"
    assert nodes["a1"]["spec"]["taints"] == [{"key": "only", "value": "me", "effect": "NoSchedule"}]
    assert "EtcdIsVoter" not in str(nodes["a1"])

    first.stop(signal.SIGKILL)
    labelled = second.kubectl("label", "node", "a1", "--overwrite", "color=blue")
    assert labelled.stdout == "node/a1 labeled\n", labelled.stderr
    assert set(third.conditions("Ready").values()) == {"True"}

    agent.stop()
    agent.values |= {"node-label": ["pool=other"], "node-taint": []}
    for one in (second, third):
        one.stop()
    for one in (second, third, first):
        one.start()
    agent.start("agent")
    kept = first.json("node", "a1")
    assert kept["metadata"] == third.json("node", "a1")["metadata"]
    assert kept["metadata"]["labels"]["color"] == "blue"
    assert kept["metadata"]["labels"]["pool"] == "agent", "labels count at the first registration only"
    assert kept["spec"]["taints"] == [{"key": "only", "value": "me", "effect": "NoSchedule"}]
    assert kept["metadata"]["creationTimestamp"] == nodes["a1"]["metadata"]["creationTimestamp"]


def test_a_second_concurrent_learner_is_refused(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    second, third = machine("s2", server=first.url), machine("s3", server=first.url)
    second.start(RZP_STANDIN_PACE="2")  # votes late enough for the third to come in between

    assert first.conditions("EtcdIsVoter") == {"s1": "True", "s2": "False"}
    assert "etcdserver: too many learner members in cluster" in third.fails()
    first.votes("s1", "s2")


def test_a_rebuilt_first_server_is_a_duplicate_until_its_node_is_deleted_and_then_joins(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    second = machine("s2", server=first.url)
    second.start()
    first.votes("s1", "s2")
    first.stop(signal.SIGKILL)
    first.wipe()
    first.values = {"server": second.url}
    first.secure(second)

    assert "etcd cluster join failed: duplicate node name found" in first.fails()
    assert second.kubectl("delete", "node", "s1").stdout == 'node "s1" deleted\n'
    first.start()
    second.votes("s1", "s2")
    assert ca_hash((first.server / "tls/server-ca.crt").read_text()) in second.token_on_disk


def test_a_rebuilt_first_server_with_its_old_configuration_founds_a_second_cluster(machine: Any) -> None:
    """What the deploy must prevent; the real one does it too (k3s-ansible#269)."""
    first = machine("s1", cluster_init=True)
    first.start()
    before = first.token_on_disk
    first.stop()
    first.wipe()
    first.start()

    assert first.token_on_disk != before


def test_a_removed_server_does_not_come_back(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    second = machine("s2", server=first.url)
    second.start()
    first.votes("s1", "s2")
    first.kubectl("delete", "node", "s2")

    assert "member has been permanently removed" in second.ends()
    assert "member has been permanently removed" in second.fails()


def test_a_rebuilt_agent_is_rejected_until_its_node_is_deleted(machine: Any, lone: Any) -> None:
    agent = machine("a1", server=lone.url)
    agent.start("agent")
    agent.stop(signal.SIGKILL)
    agent.wipe()
    agent.start("agent", ready=False)
    agent.says("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password'")
    lone.kubectl("delete", "node", "a1")
    agent.says("k3s agent is up and running")
    agent.stop()
    lone.kubectl("delete", "node", "a1")


def test_a_node_that_registers_again_keeps_the_annotations_of_others(machine: Any, lone: Any) -> None:
    agent = machine("a2", server=lone.url)
    agent.start("agent")
    lone.kubectl("annotate", "node", "a2", "--overwrite", "rzp.io/owned-labels=a,b")
    before = lone.json("node", "a2")["metadata"]
    agent.stop()
    agent.start("agent")

    assert before["annotations"] == {"rzp.io/owned-labels": "a,b"}
    assert lone.json("node", "a2")["metadata"] == before
    agent.stop()
    lone.kubectl("delete", "node", "a2")


def test_a_server_binds_its_port_again_at_once_though_a_connection_of_before_lingers(machine: Any) -> None:
    one = machine("s1", cluster_init=True)
    one.start()
    with socket.create_connection(("127.0.0.1", one.port)):
        one.kubectl("get", "--raw", "/readyz")  # is answered after the other connection was accepted
        one.stop()  # the server ends first, so its side of the connection stays in TIME_WAIT
    began = time.monotonic()
    one.start()

    assert one.kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert time.monotonic() - began < 10, "TIME_WAIT takes a minute"


def test_an_agent_with_a_wrong_token_keeps_trying(machine: Any, lone: Any) -> None:
    agent = machine("a3", server=lone.url)
    agent.token = "wrong"
    agent.start("agent", ready=False)
    agent.says("Failed to validate connection to cluster at")
    agent.says("401 Unauthorized")

    assert agent.process.poll() is None
    lone.says("invalid username/password combination")


def test_critical_values_must_match_on_joining(machine: Any, lone: Any) -> None:
    log = machine("s2", server=lone.url, flannel_backend="host-gw").fails()

    assert 'level=warning msg="critical configuration mismatched: flannel-backend"' in log
    assert (
        "failed to validate server configuration: critical configuration value mismatch between servers"
        in log
    )
