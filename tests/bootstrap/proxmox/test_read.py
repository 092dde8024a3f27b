"""Reading the live state: how a configuration is understood, and how few calls it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.fields import managed_fields
from bootstrap.proxmox import configuration, images, machines, read

CONFIG = {
    "name": "staging-agent-1",
    "tags": "agent;rzp;rzp-staging",
    "cores": 4,
    "memory": "8192",
    "cpu": "x86-64-v2-AES",
    "machine": "q35",
    "scsihw": "virtio-scsi-single",
    "balloon": 0,
    "ostype": "l26",
    "agent": "enabled=1",
    "onboot": 1,
    "protection": 0,
    "serial0": "socket",
    "vga": "serial0",
    "net0": "virtio=BC:24:11:00:01:20,bridge=vmbr0",
    "smbios1": "uuid=5B1C7E0E-2F0A-5D6C-8B1E-0123456789AB",
    "scsi0": "vmdata:130/vm-130-disk-0.qcow2,discard=on,iothread=1,size=20G,ssd=1",
    "scsi1": "local:iso/rzp-staging-agent-1.iso,media=cdrom,size=368K",
    "scsi2": "local-lvm:vm-130-disk-1,discard=on,size=1536M",
    "unused0": "vmdata:130/vm-130-disk-2.raw",
    "boot": "order=scsi0",
    "digest": "e1e4",
}


def _entries(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in config.items()]


def _live(**changes: Any) -> Any:
    return configuration.parse(130, "pve1", _entries({**CONFIG, **changes}), running=True)


def test_a_configuration_is_understood() -> None:
    live = _live()

    assert (live.name, live.digest, live.lock) == ("staging-agent-1", "e1e4", None)
    assert live.uuid == "5b1c7e0e-2f0a-5d6c-8b1e-0123456789ab"
    assert live.seed == "local:iso/rzp-staging-agent-1.iso"
    assert live.disks == {"scsi0": 20, "scsi2": 1.5}
    assert live.tags == {"agent", "rzp", "rzp-staging"}


def test_the_fields_are_those_that_the_plan_compares(staging: Environment) -> None:
    agent = K3sCluster(staging).agents[0]
    described = replace(agent, description="An agent")
    asked = {**machines.parameters(described, staging), "onboot": 1, "protection": 0}

    assert configuration.parse(130, "pve1", _entries(asked), running=True).fields == managed_fields(described)


def test_what_is_pending_is_what_it_will_be_and_what_runs_is_kept_beside_it() -> None:
    entries = _entries({key: value for key, value in CONFIG.items() if key not in ("cores", "scsi2")})
    entries += [
        {"key": "cores", "value": 1, "pending": 4},
        {"key": "scsi2", "value": CONFIG["scsi2"], "delete": 1},
        {"key": "scsi3", "pending": "vmdata:130/vm-130-disk-9.raw,size=2G"},
    ]

    live = configuration.parse(130, "pve1", entries, running=True)

    assert (live.fields["cores"], live.running_fields) == (4, {"cores": 1})
    assert live.disks == {"scsi0": 20, "scsi2": 1.5, "scsi3": 2}
    assert live.volumes["scsi2"] == "local-lvm:vm-130-disk-1"
    assert live.volumes["unused0"] == "vmdata:130/vm-130-disk-2.raw"


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("agent", "1", "agent", True),
        ("agent", "enabled=0", "agent", False),
        ("cpu", "cputype=host,flags=+aes", "cpu", "host"),
        ("memory", "current=2048", "memory", 2048),
        ("net0", "virtio=bc:24:11:00:01:20,bridge=vmbr1,firewall=1,tag=7", "net0 tag", 7),
        ("net0", "virtio=bc:24:11:00:01:20,bridge=vmbr1,firewall=1,tag=7", "net0 mac", "BC:24:11:00:01:20"),
        ("net0", "e1000=bc:24:11:00:01:20,bridge=vmbr1", "net0 mac", "BC:24:11:00:01:20"),
        ("protection", 1, "protection", True),
        ("machine", "pc-q35-9.2+pve1", "machine", "q35"),
        ("machine", "type=q35,viommu=intel", "machine", "q35"),
        ("machine", "pc-i440fx-9.2", "machine", "pc-i440fx-9.2"),
    ],
)
def test_a_value_in_another_notation_is_the_same_value(
    key: str, value: Any, field: str, expected: Any
) -> None:
    assert _live(**{key: value}).fields[field] == expected


@pytest.mark.parametrize("value", ["none,media=cdrom", "vmdata:130/vm-130-disk-7.raw,size=1G"])
def test_an_ejected_seed_is_no_seed(value: str) -> None:
    assert _live(scsi1=value).seed is None


@pytest.mark.parametrize(
    "text", ["rzp;agent;rzp-staging", "RZP,agent rzp-staging", "agent; rzp ,rzp-staging"]
)
def test_tags_are_normalised_because_8_4_keeps_them_raw(text: str) -> None:
    assert _live(tags=text).tags == {"agent", "rzp", "rzp-staging"}


@pytest.mark.parametrize(
    ("size", "expected"), [("20G", 20), ("368K", 368 / 1024**2), ("1T", 1024), ("0.5G", 0.5), ("?", 0)]
)
def test_sizes_are_in_gib(size: str, expected: float) -> None:
    assert configuration.gib(size) == expected


def test_an_empty_proxmox_takes_two_calls(untouched_lab: Any) -> None:
    client = untouched_lab.client()

    found = read.observe(client, untouched_lab.environment, untouched_lab.machines)

    assert (found.vms, found.images, found.seeds, found.creating) == (
        (),
        frozenset(),
        frozenset(),
        frozenset(),
    )
    assert client.calls == [("GET", "/cluster/resources"), ("GET", "/nodes/pve1/storage/local/content")]


def test_a_vm_in_creation_is_known_by_our_task(script: Any, reply: Any, staging: Environment) -> None:
    upid = "UPID:pve1:000000A9:000C2CA7:6B03B5FC:qmcreate:120:rzp@pve!infra:"
    wire = script(
        reply([{"type": "qemu", "vmid": 120, "node": "pve1", "status": "unknown"}]),
        reply([{"vmid": 120, "status": "stopped"}]),
        reply(_entries({"lock": "create", "digest": "a7"})),
        reply([{"upid": upid, "type": "qmcreate", "status": "RUNNING"}]),
        reply([]),
    )

    found = read.observe(wire.client(), staging, [])

    assert found.creating == {120}
    assert [(vm.vmid, vm.lock, vm.name) for vm in found.vms] == [(120, "create", "")]


def test_a_creation_that_ends_between_two_reads_is_not_mistaken(script: Any, reply: Any) -> None:
    wire = script(reply(_entries({"lock": "create"})), reply([]), reply(_entries(CONFIG)))

    live, upid = read.machine(wire.client(), "pve1", 130, running=False)

    assert (live.name if live else None, upid) == ("staging-agent-1", None)


def test_what_is_in_the_range_or_has_the_tag_is_read_and_nothing_else(
    script: Any, reply: Any, staging: Environment
) -> None:
    entries = [
        {"type": "qemu", "vmid": 500, "node": "pve1"},
        {"type": "qemu", "vmid": 501, "node": "pve1", "tags": "rzp;rzp-staging-2"},
        {"type": "qemu", "vmid": 502, "node": "pve1", "tags": "rzp;rzp-staging"},
        {"type": "lxc", "vmid": 121, "node": "pve2", "name": "dns"},
    ]
    wire = script(
        reply(entries), reply([{"vmid": 502, "status": "running"}]), reply(_entries(CONFIG)), reply([])
    )

    found = read.observe(wire.client(), staging, [])

    assert [(vm.vmid, vm.kind, vm.running) for vm in found.vms] == [(121, "lxc", False), (502, "qemu", True)]
    assert len(wire.requests) == 4


def test_seeds_of_an_environment_with_a_longer_name_are_not_ours(
    script: Any, reply: Any, staging: Environment
) -> None:
    names = [
        "rzp-staging-server-1",
        "rzp-staging-agent-9",
        "rzp-staging-2-server-1",
        "rzp-production-server-1",
        "debian",
    ]
    stored = [{"volid": f"local:iso/{name}.iso", "content": "iso"} for name in names]
    stored.append({"volid": images.volume(staging), "content": "import"})
    wire = script(reply([]), reply(stored))

    found = read.observe(wire.client(), staging, K3sCluster(staging).machines)

    assert found.images == {"pve1"}
    assert found.seeds == {("pve1", f"local:iso/{name}.iso") for name in names[:2]}
