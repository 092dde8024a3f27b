"""A machine's life, on a machine that really boots."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootstrap.errors import LabError
from bootstrap.lab import control, process
from bootstrap.lab.machines.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Guest, Lab

pytestmark = pytest.mark.e2e
UUID = "11111111-2222-3333-4444-555555555555"
DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi2"


def sparse(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def lab_states(pid: int) -> set[str]:
    """The state letters of a process's children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children}


@pytest.fixture(scope="module")
def guests(lab: Lab, make_guest: Callable[..., Guest]) -> dict[str, Guest]:
    """Two machines, booted together: one as our seeds make it, one whose seed lacks the marker."""
    both = {
        "good": make_guest(lab, 120, data=sparse(lab.state / "data.raw", 1 << 28)),
        "unmarked": make_guest(lab, 121, marker=False),
    }
    for guest in both.values():
        guest.start()
    for guest in both.values():
        assert guest.answers(), control.logs(lab.state, guest.vmid, 20)
    return both


@pytest.fixture
def guest(guests: dict[str, Guest]) -> Guest:
    return guests["good"]


def test_it_boots_from_its_iso_and_shows_the_seeded_host_key(guest: Guest) -> None:
    assert guest.says("cloud-init status --wait") == "status: done"
    assert "DataSourceNoCloud [seed=/dev/sr0]" in guest.says("cloud-init status --long")
    assert (
        guest.says("hostname; systemctl is-system-running --wait; cat /var/lib/runs")
        == "test-120\nrunning\nran"
    )


def test_it_has_both_addresses_and_reaches_its_neighbour(guest: Guest) -> None:
    addresses = guest.says("ip -br -o address show eth0")
    assert "10.77.0.120/24" in addresses
    assert "fd77::120/64" in addresses
    assert (
        guest.says("sudo ping -c1 -W2 10.77.0.121 >/dev/null; sudo ping -c1 -W2 fd77::1 >/dev/null; echo $?")
        == "0"
    )


def test_what_a_deploy_sets_can_be_set_and_is_not_the_hosts(guest: Guest) -> None:
    settings = (
        "vm.overcommit_memory=1",
        "kernel.panic=10",
        "fs.inotify.max_user_watches=524288",
        "net.ipv4.ip_forward=1",
    )
    guest.says(
        f"printf '%s\\n' {' '.join(settings)} | sudo tee /etc/sysctl.d/90-test.conf; sudo sysctl -p /etc/sysctl.d/90-test.conf"
    )
    assert guest.says("cat /proc/sys/kernel/panic /proc/sys/net/ipv4/ip_forward") == "10\n1"
    assert Path("/proc/sys/kernel/panic").read_text().strip() != "10"
    assert guest.says("tail -n +2 /proc/swaps") == ""


@pytest.fixture(scope="module")
def mounted(guests: dict[str, Guest]) -> Guest:
    """Its data disk formatted and mounted as a deploy does it, with a file on it."""
    guest, link = guests["good"], f"/dev/disk/by-uuid/{UUID}"
    assert guest.ssh(f"sudo blkid -p {DISK}").returncode == 2, "an empty disk"
    guest.says(
        f"sudo mkfs.ext4 -q -U {UUID} {DISK}; for i in $(seq 50); do [ -e {link} ] && break; sleep 0.1; done"
    )
    unit = f"[Mount]\\nWhat={link}\\nWhere=/srv/data\\nType=ext4\\n[Install]\\nWantedBy=multi-user.target\\n"
    guest.says(f"printf '{unit}' | sudo tee /etc/systemd/system/srv-data.mount")
    guest.says("sudo systemctl enable --now srv-data.mount && echo kept | sudo tee /srv/data/file")
    return guest


def test_a_data_disk_has_its_id_and_once_formatted_its_uuid(mounted: Guest) -> None:
    assert mounted.says(f"realpath {DISK} /dev/disk/by-uuid/{UUID}") == "/dev/sdb\n/dev/sdb"
    assert mounted.says("lsblk -no FSTYPE,UUID /dev/sdb").split() == ["ext4", UUID]
    assert mounted.says("findmnt -no SOURCE /srv/data") == "/dev/sdb"


def test_a_larger_and_a_further_disk_show_in_the_running_guest_and_after_a_reboot(
    mounted: Guest, until: Callable[..., bool]
) -> None:
    guest, further = mounted, DISK.replace("scsi2", "scsi3")
    sizes = f"sudo blockdev --getsize64 {DISK} {further}"
    os.truncate(guest.lab.state / "data.raw", 1 << 29)
    guest.lab.call({"plug": 120, "slot": "scsi2", "path": str(guest.lab.state / "data.raw")})
    new = sparse(guest.lab.state / "further.raw", 1 << 27)
    guest.lab.call({"plug": 120, "slot": "scsi3", "path": str(new)})
    assert until(lambda: guest.ssh(sizes).stdout.split() == [str(1 << 29), str(1 << 27)])
    guest.says("sudo resize2fs /dev/sdb && test $(df --output=size -m /srv/data | tail -n 1) -gt 400")
    assert guest.says("cat /srv/data/file") == "kept"
    assert guest.lab.call({"reboot": 120, "timeout": 20})
    assert guest.answers()
    assert guest.says(sizes).split() == [str(1 << 29), str(1 << 27)]


def test_a_second_start_is_refused(guest: Guest) -> None:
    with pytest.raises(LabError, match="VM 120 already running"):
        guest.start()


def test_after_eject_and_reboot_it_is_the_same_machine(mounted: Guest) -> None:
    """The seed is gone, and the marker keeps network, keys, users and settings."""
    guest = mounted
    guest.says("echo kernel.panic=10 | sudo tee /etc/sysctl.d/91-test.conf")
    before = guest.says(
        "cat /etc/machine-id; cloud-init query instance_id; cat /proc/sys/kernel/random/boot_id"
    )
    guest.lab.call({"eject": 120})
    assert guest.ssh("ls /dev/sr0").returncode == 2
    assert guest.lab.call({"reboot": 120, "timeout": 20})
    assert guest.answers()
    after = guest.says(
        "cat /etc/machine-id; cloud-init query instance_id; cat /proc/sys/kernel/random/boot_id"
    )
    assert after.splitlines()[:2] == before.splitlines()[:2]
    assert after.splitlines()[2] != before.splitlines()[2]
    assert (
        guest.says("ls /dev/sr0 2>/dev/null; cat /var/lib/runs /srv/data/file /proc/sys/kernel/panic")
        == "ran\nkept\n10"
    )
    assert (
        guest.says("cloud-init status --wait; systemctl is-system-running --wait") == "status: done\nrunning"
    )


def test_a_reboot_from_inside_is_one(guest: Guest) -> None:
    before = guest.says("cat /proc/sys/kernel/random/boot_id")
    guest.ssh("sudo systemctl reboot")
    deadline = time.monotonic() + 20
    while guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip() in {"", before}:
        assert time.monotonic() < deadline
    assert guest.lab.running(120)


def test_a_killed_container_is_a_machine_that_is_off(mounted: Guest, until: Callable[..., bool]) -> None:
    guest = mounted
    guest.kill_container()
    assert until(lambda: not guest.lab.running(120))
    assert not [
        name for name in ("data.raw", "further.raw") if run("losetup", "-j", str(guest.lab.state / name))
    ]
    daemon = process.noted(guest.lab.state)[-1].pid
    assert "Z" not in lab_states(daemon), "the daemon is process 1 there and must wait for orphans"
    guest.hardware["cdrom"] = None
    guest.start()
    assert guest.answers()
    assert guest.says("cat /srv/data/file") == "kept"


def test_shutdown_from_outside_and_poweroff_from_inside_switch_it_off(
    guest: Guest, until: Callable[..., bool]
) -> None:
    assert guest.lab.call({"shutdown": 120, "timeout": 20})
    assert not guest.lab.running(120)
    guest.start()
    assert guest.answers()
    guest.ssh("sudo systemctl poweroff")
    assert until(lambda: not guest.lab.running(120))


def test_without_seed_and_marker_it_never_gets_a_network_again(guests: dict[str, Guest]) -> None:
    """As a real one: this is the mistake that the marker prevents."""
    guest = guests["unmarked"]
    guest.lab.call({"stop": 121})
    guest.hardware["cdrom"] = None
    guest.start()
    assert not guest.answers(within=5)
    assert guest.lab.running(121)


def test_a_machine_without_an_operating_system_does_not_start(
    lab: Lab, make_guest: Callable[..., Guest]
) -> None:
    guest = make_guest(lab, 122)
    guest.hardware["disks"][0]["imported"] = False
    with pytest.raises(LabError, match="no bootable disk"):
        guest.start()
    assert not lab.running(122)


def test_erased_means_that_nothing_is_left_of_its_disks(lab: Lab, guests: dict[str, Guest]) -> None:
    assert guests
    assert (lab.state / "machines" / "121" / "upper" / "var").is_dir()
    lab.call({"erase": 121})
    assert not (lab.state / "machines" / "121").exists()
