"""A lab of these tests' own: real machines behind the driver, one lab per test module."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pycdlib
import pytest
import yaml

from bootstrap.errors import LabError
from bootstrap.lab import capability, control, enter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAN = {
    "environment": "demo",
    "bridge": "vmbr0",
    "vlan": None,
    "ipv4": {"network": "10.77.0.0/24", "gateway": "10.77.0.1"},
    "ipv6": {"network": "fd77::/64", "gateway": "fd77::1"},
}
DRIVER = (sys.executable, str(Path(__file__).with_name("driver.py")))


def silent(_: str) -> None:
    pass


@dataclass
class Guest:
    """A machine of the lab as its operator sees it: by SSH, with the host key that its seed names."""

    lab: Lab
    vmid: int
    data: Path | None = None
    marker: bool = True
    hardware: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.lab.state / f"seed{self.vmid}"
        self.folder.mkdir(exist_ok=True)
        key(self.folder / "host")
        system = self.lab.state / f"vm-{self.vmid}-disk-0.raw"
        system.touch()
        disks = [{"slot": "scsi0", "path": str(system), "imported": True}]
        if self.data:
            disks.append({"slot": "scsi2", "path": str(self.data), "imported": False})
        self.hardware = {
            "vmid": self.vmid,
            "name": f"test-{self.vmid}",
            "cores": 1,
            "memory_mib": 512,
            "uuid": f"00000000-0000-4000-8000-{self.vmid:012d}",
            "nics": [{"mac": self.mac, "bridge": "vmbr0", "tag": None}],
            "disks": disks,
            "cdrom": str(self._iso()),
            "boot": ["scsi0"],
        }

    @property
    def mac(self) -> str:
        return f"52:54:00:00:00:{self.vmid % 256:02x}"

    @property
    def address(self) -> str:
        return f"10.77.0.{self.vmid % 256}"

    def start(self) -> None:
        self.lab.call({"start": self.hardware})

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        known = self.folder / "known_hosts"
        known.write_text(f"{self.address} {(self.folder / 'host.pub').read_text()}")
        options = {
            "UserKnownHostsFile": known,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": 2,
        }
        line = ["ssh", "-q", "-F", "none", "-i", str(self.lab.key)]
        line += [f"-o{name}={value}" for name, value in options.items()]
        return self.lab.run(*line, f"admin@{self.address}", command)

    def answers(self, *, within: float = 30) -> bool:
        """A real login with the key, the host key checked against the seed's."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.ssh("true").returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def says(self, command: str) -> str:
        done = self.ssh(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def kill_container(self) -> None:
        """kill -9 of nspawn itself, which by itself would leave the guest running."""
        pattern = f"systemd-nspawn .*--directory={self.lab.state}/machines/{self.vmid}/root"
        found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)  # its child is called the same for a moment

    def _iso(self) -> Path:
        public = (self.folder / "host.pub").read_text()
        user_data: dict[str, Any] = {
            "ssh_deletekeys": True,
            "ssh_genkeytypes": ["ed25519"],
            "ssh_keys": {"ed25519_private": (self.folder / "host").read_text(), "ed25519_public": public},
            "users": [
                {
                    "name": "admin",
                    "sudo": "ALL=(ALL) NOPASSWD:ALL",
                    "shell": "/bin/bash",
                    "ssh_authorized_keys": [self.lab.key.with_suffix(".pub").read_text().strip()],
                }
            ],
            "runcmd": [["sh", "-c", "echo ran >>/var/lib/runs"]],
        }
        if self.marker:
            user_data["write_files"] = [{"path": "/var/lib/cloud/instance/manual-clean", "content": ""}]
        network = {
            "version": 2,
            "ethernets": {
                "lan": {
                    "match": {"macaddress": self.mac},
                    "addresses": [f"{self.address}/24", f"fd77::{self.vmid}/64"],
                    "routes": [{"to": "default", "via": "10.77.0.1"}],
                    "nameservers": {"addresses": ["10.77.0.1"]},
                }
            },
        }
        files = {
            "user-data": "#cloud-config\n" + yaml.safe_dump(user_data),
            "meta-data": f"instance-id: i-{self.vmid}\nlocal-hostname: test-{self.vmid}\n",
            "network-config": yaml.safe_dump(network),
        }
        return iso(self.folder / "cidata.iso", files)


@dataclass
class Lab:
    state: Path

    def __post_init__(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self.key = self.state / "login"
        key(self.key)

    def start(self, report: Callable[[str], None] = silent, **changes: Any) -> None:
        control.start(PLAN | changes, backend="nspawn", state=self.state, report=report, daemon=DRIVER)

    def stop(self) -> None:
        control.stop(self.state, silent)

    def call(self, request: dict[str, Any]) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self.state / "calls"))
            line.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
        if "error" in reply:
            raise LabError(reply["error"])
        return reply["result"]

    def running(self, vmid: int) -> bool:
        return bool(self.call({"running": vmid}))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command inside the lab's network."""
        line = enter.command(self.state, argv)
        return subprocess.run(
            line, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )


def key(path: Path) -> None:
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def iso(path: Path, files: dict[str, str]) -> Path:
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    image.write(str(path))
    image.close()
    return path


@pytest.fixture(scope="session")
def until() -> Callable[..., bool]:
    def wait(happened: Callable[[], bool], *, within: float = 20) -> bool:
        deadline = time.monotonic() + within
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.05)
        return happened()

    return wait


@pytest.fixture(scope="session")
def make_guest() -> type[Guest]:
    return Guest


@pytest.fixture
def plan() -> dict[str, Any]:
    return dict(PLAN)


@pytest.fixture(scope="session")
def machines_can_boot() -> None:
    if obstacle := capability.obstacle_to_machines():
        pytest.skip(f"no machines here: {obstacle}")
    if shutil.which("ssh") is None:
        pytest.skip("no machines here: ssh is missing (openssh-client)")


def running_lab(state: Path) -> Iterator[Lab]:
    lab = Lab(state)
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def lab(machines_can_boot: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:  # noqa: ARG001
    yield from running_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def other_lab(machines_can_boot: None, tmp_path: Path) -> Iterator[Lab]:  # noqa: ARG001
    yield from running_lab(tmp_path)
