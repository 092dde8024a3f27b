"""The parts of the nspawn backend that need neither root nor Linux to be judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrap.errors import LabError
from bootstrap.lab import cache, capability, process
from bootstrap.lab.backend import Disk, Hardware
from bootstrap.lab.machines import image, layer, mark
from bootstrap.lab.machines.container import Container
from bootstrap.lab.machines.machine import data_disks
from bootstrap.lab.machines.network import Network


def test_two_state_folders_have_two_marks_and_one_folder_always_the_same(tmp_path: Path) -> None:
    assert mark.of(tmp_path / "a") != mark.of(tmp_path / "b")
    assert mark.of(tmp_path / "a") == mark.of(tmp_path / "b" / ".." / "a")
    assert mark.machine("lab-0a1b", 120) == "lab-0a1b-m120"


def test_the_container_gets_its_network_before_it_starts_and_colons_do_not_split_paths() -> None:
    box = Container(
        name="lab-0a1b-m120",
        uuid="u",
        root=Path("/r"),
        namespace="lab-0a1b-m120",
        binds={"/dev/sdb": Path("/x:y/z")},
    )
    command = box.command()
    assert command[:3] == ["nsenter", "--net=/run/netns/lab-0a1b-m120", "systemd-nspawn"]
    assert "--bind=/x\\:y/z:/dev/sdb" in command
    assert "--capability=CAP_NET_ADMIN" in command


def disk(slot: str, *, imported: bool = False) -> Disk:
    return Disk(slot=slot, path=Path(slot), imported=imported)


def machine(*disks: Disk) -> Hardware:
    return Hardware(
        vmid=120, name="m", cores=1, memory_mib=1, uuid="u", nics=(), disks=disks, cdrom=None, boot=()
    )


def test_disks_are_named_in_the_order_of_their_slots() -> None:
    found = data_disks(machine(disk("scsi10"), disk("scsi0", imported=True), disk("scsi2")))
    assert {device: one.slot for device, one in found.items()} == {"/dev/sdb": "scsi2", "/dev/sdc": "scsi10"}


@pytest.mark.parametrize("disks", [(), (disk("scsi0"),), (disk("scsi0"), disk("scsi1", imported=True))])
def test_a_machine_whose_first_disk_carries_nothing_cannot_boot(disks: tuple[Disk, ...]) -> None:
    with pytest.raises(LabError, match="VM 120: no bootable disk"):
        data_disks(machine(*disks))


def test_the_gateways_stand_on_the_bridge_with_their_networks_prefix() -> None:
    plan = {"bridge": "vmbr0", "vlan": 7, "ipv4": {"network": "10.10.0.0/16", "gateway": "10.10.0.1"}}
    network = Network.of_plan("lab-0a1b", plan | {"ipv6": {"network": "fd00::/64", "gateway": "fd00::1"}})
    assert [str(gateway) for gateway in network.gateways] == ["10.10.0.1/16", "fd00::1/64"]
    assert [str(gateway) for gateway in Network.of_plan("lab-0a1b", plan | {"ipv6": None}).gateways] == [
        "10.10.0.1/16"
    ]


def test_the_guest_layer_has_modes_and_links_whatever_the_checkout_has(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        root = layer.build(layer.build(tmp_path / "guest"))
    finally:
        os.umask(before)
    assert (root / "usr/lib/rzp-lab/machine").stat().st_mode & 0o777 == 0o755
    assert (root / "etc/cloud/cloud.cfg.d/90_rzp_lab.cfg").stat().st_mode & 0o777 == 0o644
    assert (root / "etc/systemd").stat().st_mode & 0o777 == 0o755
    for wanting, units in layer.WANTED.items():
        for unit in units:
            assert (root / f"etc/systemd/system/{wanting}.wants" / unit).resolve().is_file()


def test_a_process_is_alive_only_under_its_own_start_time(tmp_path: Path) -> None:
    mine = process.of(os.getpid())
    assert mine.alive
    process.note(tmp_path, [mine])
    assert process.alive(tmp_path)
    if mine.started:
        process.note(tmp_path, [mine, process.Process(mine.pid, mine.started + 1)])
        assert not process.alive(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"pid": 1}]'])
def test_a_damaged_note_is_no_process(text: str, tmp_path: Path) -> None:
    (tmp_path / process.FILE).write_text(text)
    assert not process.alive(tmp_path)


def test_the_backend_without_machines_runs_anywhere_and_an_unknown_one_is_refused() -> None:
    assert capability.choose("record").backend == "record"
    assert capability.choose("auto").reason
    with pytest.raises(LabError, match="no backend 'kvm'; there are auto, record, nspawn"):
        capability.choose("kvm")


def test_the_images_key_follows_its_packages_but_not_their_order() -> None:
    assert image.key(("a", "b")) == image.key(("b", "a"))
    assert image.key(("a", "b")) != image.key(("a", "c"))


def test_the_cache_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RZP_LAB_CACHE", raising=False)
    assert cache.folder() == tmp_path / "rzp-infra"
    monkeypatch.setenv("RZP_LAB_CACHE", "/named")
    assert cache.folder() == Path("/named")
