"""Servers and agents of the stand-in together: joining, voting, restarting, being rebuilt."""

from __future__ import annotations

import signal
from typing import Any

from bootstrap.lab.standin.k3s.tokens import ca_hash


def test_three_servers_and_an_agent_join_survive_the_leader_and_a_restart_of_all(machine: Any) -> None:
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
    assert not any("EtcdIsVoter" in str(nodes[name]) for name in ("a1",))

    first.stop(signal.SIGKILL)
    labelled = second.kubectl("label", "node", "a1", "color=blue")
    assert labelled.stdout == "node/a1 labeled\n", labelled.stderr

    agent.stop()
    agent.values |= {"node-label": ["pool=other"], "node-taint": []}
    for one in (second, third):
        assert one.stop() == 0
    for one in (first, second, third):
        one.start(ready=False)
    agent.start("agent")
    kept = first.json("node", "a1")
    assert kept["metadata"]["labels"]["color"] == "blue"
    assert kept["metadata"]["labels"]["pool"] == "agent", "labels count at the first registration only"
    assert kept["spec"]["taints"] == [{"key": "only", "value": "me", "effect": "NoSchedule"}]
    assert kept["metadata"]["creationTimestamp"] == nodes["a1"]["metadata"]["creationTimestamp"]


def test_a_second_concurrent_learner_is_refused(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start(RZP_STANDIN_PACE="2")  # promotes late enough for the third to come in between
    second, third = machine("s2", server=first.url), machine("s3", server=first.url)
    second.start()

    assert first.conditions("EtcdIsVoter") == {"s1": "True", "s2": "False"}
    assert "etcdserver: too many learner members in cluster" in third.fails()


def test_without_a_majority_the_api_freezes(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    second = machine("s2", server=first.url)
    second.start()
    first.votes("s1", "s2")
    second.stop(signal.SIGKILL)
    first.says("lost the majority")

    assert "etcd failed" in first.kubectl("get", "--raw", "/readyz").stderr
    second.start()
    assert first.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_a_rebuilt_server_is_a_duplicate_until_its_node_is_deleted(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    second, third = machine("s2", server=first.url), machine("s3", server=first.url)
    for joiner in (second, third):
        joiner.start()
        first.votes(*[m.name for m in (first, second, third) if m.process])
    first.stop(signal.SIGKILL)
    first.wipe()
    first.values = {"server": second.url}
    first.secure(second)

    assert "etcd cluster join failed: duplicate node name found" in first.fails()
    assert second.kubectl("delete", "node", "s1").stdout == 'node "s1" deleted\n'
    first.start()
    second.votes("s1", "s2", "s3")
    assert ca_hash((first.server / "tls/server-ca.crt").read_bytes()) in second.token_on_disk


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


def test_a_rebuilt_agent_is_rejected_until_its_node_is_deleted(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    agent = machine("a1", server=first.url)
    agent.start("agent")
    agent.stop(signal.SIGKILL)
    agent.wipe()
    agent.start("agent", ready=False)
    agent.says("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password'")
    first.kubectl("delete", "node", "a1")
    agent.says("k3s agent is up and running")


def test_a_server_without_etcd_takes_no_further_server(machine: Any) -> None:
    first = machine("s1")
    first.start()
    second = machine("s2", server=first.url)

    assert "401 Unauthorized" in second.fails()
    assert (first.server / "db/state.db").exists()
    assert not (first.server / "db/etcd").exists()
    first.stop()
    first.values = {"cluster-init": True}
    first.start()
    first.votes("s1")
    second.start()
    first.votes("s1", "s2")


def test_an_agent_with_a_wrong_token_keeps_trying(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    agent = machine("a1", server=first.url)
    agent.token = "wrong"
    agent.start("agent", ready=False)
    agent.says("Failed to validate connection to cluster at")
    agent.says("401 Unauthorized")

    assert agent.process.poll() is None
    first.says("invalid username/password combination")


def test_critical_values_must_match_on_joining(machine: Any) -> None:
    first = machine("s1", cluster_init=True)
    first.start()
    log = machine("s2", server=first.url, flannel_backend="host-gw").fails()

    assert 'level=warning msg="critical configuration mismatched: flannel-backend"' in log
    assert (
        "failed to validate server configuration: critical configuration value mismatch between servers"
        in log
    )
