"""What is written onto a machine: texts, and the command that puts them there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyinfra.api.command import StringCommand

from deploys import k3s_files, paths, system
from deploys.settings import Settings
from deploys.wanted import File

MOUNTS = {
    "/var/lib/longhorn": "var-lib-longhorn.mount",
    "/srv/my-data": "srv-my\\x2ddata.mount",
    "/a b": "a\\x20b.mount",
    "/.hidden": "\\x2ehidden.mount",
    "/": "-.mount",
    "/srv/ä": "srv-\\xc3\\xa4.mount",
}


@pytest.mark.parametrize(("path", "name"), MOUNTS.items(), ids=MOUNTS)
def test_a_mount_units_name_is_escaped_as_systemd_demands(path: str, name: str) -> None:
    assert system.mount_unit(path) == name


def test_a_data_disk_is_checked_before_it_is_mounted_as_from_fstab(settings: Settings) -> None:
    text = system.mount_text("5c0c1b2e-01", settings.nodes["a1"].data_disks[0])
    check = r"systemd-fsck@dev-disk-by\x2duuid-5c0c1b2e\x2d01.service"
    assert f"\nWants={check}\nAfter={check}\n" in text
    assert "\nWhat=/dev/disk/by-uuid/5c0c1b2e-01\nWhere=/var/lib/longhorn\nType=ext4\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_mount_unit(settings: Settings, tmp_path: Path) -> None:
    disk = settings.nodes["a1"].data_disks[0]
    unit = tmp_path / system.mount_unit(disk.mount)
    unit.write_text(system.mount_text("5c0c1b2e-01", disk))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert str(unit) not in done.stderr
    assert unit.name not in done.stderr


def _yaml(file: File) -> dict[str, Any]:
    assert file.mode == 0o600
    return dict(yaml.safe_load(file.text))


def test_a_servers_configuration(settings: Settings) -> None:
    assert _yaml(k3s_files.config(settings, "s1")) == {
        "node-name": "s1",
        "node-ip": "192.0.2.20,2001:db8::20",
        "token-file": paths.K3S_TOKEN,
        "cluster-cidr": "10.42.0.0/16,fd42::/56",
        "service-cidr": "10.43.0.0/16,fd43::/112",
        "flannel-ipv6-masq": True,
        "disable": ["traefik", "servicelb"],
        "write-kubeconfig-mode": "0600",
    }


def test_an_agents_configuration_holds_no_key_of_servers_only(rzp: dict[str, Any]) -> None:
    rzp["k3s"]["settings"] = {"secrets-encryption": True, "kubelet-arg": ["max-pods=50"]}
    settings = Settings.parse(rzp)
    assert _yaml(k3s_files.config(settings, "a1")) == {
        "node-name": "a1",
        "node-ip": "192.0.2.30,2001:db8::30",
        "token-file": paths.K3S_TOKEN,
        "server": "https://192.0.2.20:6443",
        "kubelet-arg": ["max-pods=50"],
    }
    assert _yaml(k3s_files.config(settings, "s2"))["secrets-encryption"] is True


def test_membership_and_taints_stand_apart_from_what_needs_a_restart(settings: Settings) -> None:
    assert _yaml(k3s_files.founding(settings, "s1")) == {"cluster-init": True}
    assert _yaml(k3s_files.joining(settings, "s2", "s1")) == {"server": "https://192.0.2.20:6443"}
    assert _yaml(k3s_files.registering(settings, "a1")) == {"node-taint": ["only=storage:NoSchedule"]}


def test_the_unit_starts_with_a_limit_and_records_what_it_starts_with(settings: Settings) -> None:
    text = k3s_files.unit(settings, "a1").text
    for line in (
        "Type=notify",
        "KillMode=process",
        "Delegate=yes",
        "TimeoutStartSec=300",
        "RequiresMountsFor=/var/lib/longhorn",
        "ExecStart=/usr/local/bin/k3s agent",
    ):
        assert f"\n{line}\n" in text
    inputs = "/usr/local/bin/k3s /etc/rancher/k3s/config.yaml /etc/rancher/k3s/token /etc/systemd/system/k3s-agent.service"
    assert f"sha256sum {inputs} > /run/rzp-k3s/started" in text
    assert "RequiresMountsFor" not in k3s_files.unit(settings, "s1").text


def test_kernel_settings_follow_the_cluster_s_families(rzp: dict[str, Any], settings: Settings) -> None:
    assert system.sysctl_values(settings)["net.ipv6.conf.all.forwarding"] == "1"
    rzp["k3s"] |= {"cluster_cidr": ["10.42.0.0/16"], "service_cidr": ["10.43.0.0/16"]}
    assert not any("ip6" in key or "ipv6" in key for key in system.sysctl_values(Settings.parse(rzp)))


def _run(command: StringCommand, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command.get_raw_value()],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_file_is_written_with_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = File(str(tmp_path / "new folder" / "secret"), "hidden\n", mode=0o600, secret=True)
    command = file.write()
    assert "hidden" not in command.get_raw_value()
    assert _run(command, file.text).returncode == 0
    written = Path(file.path)
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("hidden\n", 0o600)
    assert [path.name for path in written.parent.iterdir()] == ["secret"]


def test_half_a_text_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("good\n")
    assert _run(File(str(path), "a longer text\n").write(), "a longer").returncode != 0
    assert path.read_text() == "good\n"
