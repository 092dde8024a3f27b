"""Machines: names, VMIDs, addresses, placement and identities worked out from an environment."""

from __future__ import annotations

from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.config.pool import Vm
from bootstrap.machine import identity


def test_staging_becomes_three_machines(staging: Environment) -> None:
    machines = K3sCluster(staging).machines

    assert [(m.name, m.role, m.vmid, m.node, m.address) for m in machines] == [
        ("staging-server-1", "server", 120, "pve1", "10.10.0.20"),
        ("staging-agent-1", "agent", 130, "pve1", "10.10.0.30"),
        ("staging-agent-2", "agent", 131, "pve1", "10.10.0.31"),
    ]
    assert [str(a) for a in machines[0].addresses] == ["10.10.0.20/24", "fd10:10::20/64"]
    assert [(d.slot, d.gib, d.mount) for d in machines[1].disks] == [
        ("scsi0", 20, None),
        ("scsi2", 60, "/var/lib/longhorn"),
    ]


def test_production_is_spread_over_the_proxmox_nodes(production: Environment) -> None:
    cluster = K3sCluster(production)

    assert [m.node for m in cluster.servers] == ["pve1", "pve2", "pve3"]
    assert [m.node for m in cluster.agents] == ["pve1", "pve2", "pve3"]


def test_a_machine_outside_the_cluster_is_neither_server_nor_agent(staging: Environment) -> None:
    runner = Vm(name="runner", vmid=139, host=60, cores=2, memory_mib=2048)
    cluster = K3sCluster(Environment.model_validate({**staging.model_dump(), "machines": (runner,)}))

    assert cluster.machines[-1].name == "staging-runner"
    assert len(cluster.servers) + len(cluster.agents) == len(cluster.machines) - 1


def test_identities_never_change_and_never_collide(staging: Environment, production: Environment) -> None:
    machines = [*K3sCluster(staging).machines, *K3sCluster(production).machines]

    assert str(identity("staging", "staging-server-1")) == "e1e9733a-1293-59fa-a05a-a84766e68213"
    assert machines[0].mac == "BC:24:11:B6:8F:3B"
    assert len({m.uuid for m in machines}) == len({m.mac for m in machines}) == len(machines)


def test_tags_name_the_project_the_environment_and_the_role(staging: Environment) -> None:
    assert K3sCluster(staging).machines[0].tags == ("rzp", "rzp-staging", "server")
