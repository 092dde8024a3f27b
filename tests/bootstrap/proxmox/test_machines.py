"""What a machine is created with, and how it is switched off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.live import Live
from bootstrap.proxmox import machines

LIVE = Live(vmid=120, node="pve1", name="staging-server-1", digest="d1", running=True)
STOPPED = {"status": "stopped"}


def test_a_machine_is_created_with_exactly_these_parameters(staging: Environment) -> None:
    agent = K3sCluster(staging).agents[0]

    assert machines.parameters(agent, staging) == {
        "vmid": 130,
        "name": "staging-agent-1",
        "tags": "agent;rzp;rzp-staging",
        "smbios1": f"uuid={agent.uuid}",
        "machine": "q35",
        "cpu": "x86-64-v2-AES",
        "cores": 4,
        "sockets": 1,
        "memory": 8192,
        "balloon": 0,
        "ostype": "l26",
        "scsihw": "virtio-scsi-single",
        "serial0": "socket",
        "vga": "serial0",
        "agent": "enabled=1",
        "onboot": True,
        "protection": False,
        "net0": f"virtio={agent.mac},bridge=vmbr0",
        "scsi0": f"vmdata:0,import-from=local:import/{staging.image.filename},discard=on,iothread=1,ssd=1",
        "scsi1": "local:iso/rzp-staging-agent-1.iso,media=cdrom",
        "scsi2": "vmdata:60,discard=on,iothread=1,ssd=1",
        "boot": "order=scsi0;scsi1",
    }


def test_vlan_and_protection_are_passed_on(staging: Environment) -> None:
    machine = replace(K3sCluster(staging).servers[0], vlan=7, protection=True)

    asked = machines.parameters(machine, staging)

    assert asked["net0"].endswith(",bridge=vmbr0,tag=7")
    assert asked["protection"] is True


def _upid(kind: str) -> str:
    return f"UPID:pve1:000000A9:000C2CA7:6B03B5FC:{kind}:120:rzp@pve!infra:"


def test_a_guest_that_does_not_shut_down_is_switched_off(script: Any, reply: Any) -> None:
    wire = script(
        reply(_upid("qmshutdown")), reply({**STOPPED, "exitstatus": "VM quit/powerdown failed - got timeout"}), reply([]),
        reply(_upid("qmstop")), reply({**STOPPED, "exitstatus": "OK"}),
    )  # fmt: skip
    said: list[str] = []

    machines.switch_off(wire.client(), LIVE, said.append, patience=3)

    assert wire.requests[0].body == "timeout=3"
    assert [r.path_url.rsplit("/", 1)[-1] for r in wire.requests if r.method == "POST"] == [
        "shutdown",
        "stop",
    ]
    assert said[-1] == "the guest did not shut down, so it is switched off"


@pytest.mark.parametrize(("step", "method"), [("grow", "PUT"), ("eject", "POST")])
def test_a_change_carries_the_digest_of_what_was_read(
    script: Any, reply: Any, staging: Environment, step: str, method: str
) -> None:
    wire = script(reply(None))
    disk = K3sCluster(staging).servers[0].disks[0]

    getattr(machines, step)(wire.client(), LIVE, *([disk] if step == "grow" else []))

    assert (wire.requests[0].method, wire.requests[0].body.split("&")[-1]) == (method, "digest=d1")


def test_a_start_that_somebody_else_made_is_as_good(script: Any, reply: Any) -> None:
    wire = script(
        reply(_upid("qmstart")), reply({**STOPPED, "exitstatus": "VM 120 already running"}), reply([])
    )

    machines.start(wire.client(), LIVE, lambda _: None)

    assert len(wire.requests) == 3
