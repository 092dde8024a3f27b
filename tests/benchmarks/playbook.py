"""Playbook: the machines of a fleet as somebody writes them for Ansible's community.proxmox, and a run of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.config.base import Environment
from bootstrap.machine import Machine
from bootstrap.proxmox import images, machines
from tests.bootstrap.conftest import Lab

# Added to a machine's VMID, so that both tools' machines are side by side in one lab.
OFFSET = 1000
_OPTIONS = "discard=on,iothread=1,ssd=1"
_LIMIT = 600.0


class NoAnsible(Exception):
    """Ansible, or what it needs, is not here; the text says what."""


@dataclass(frozen=True)
class Playbook:
    """`folder` is its own. `program`: ansible-playbook on PATH, or in the folder that RZP_ANSIBLE names."""

    lab: Lab
    folder: Path

    @property
    def program(self) -> str:
        found = shutil.which("ansible-playbook", path=os.environ.get("RZP_ANSIBLE") or None)
        if found is None:
            raise NoAnsible(
                "Ansible is not installed: no ansible-playbook on PATH or in the folder that RZP_ANSIBLE names"
            )
        return found

    def run(self, *, update: bool = False) -> tuple[int, int]:
        """How many of its tasks' results were changed, and how many there were."""
        environment = self.lab.environment
        hosts = {f"theirs-{m.vmid}": _variables(m, environment) for m in self.lab.machines}
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        play = {
            "hosts": "all",
            "connection": "local",
            "gather_facts": False,
            "tasks": _tasks(self.lab.machines[0], update=update),
        }
        (self.folder / "play.json").write_text(json.dumps([play]))
        ran = subprocess.run(
            [
                *(self.program, "-i", "hosts.json", "--forks", str(environment.proxmox.parallel)),
                *("-e", "ansible_python_interpreter={{ ansible_playbook_python }}", "play.json"),
            ],
            env=self._variables(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        return _recap(ran.stdout + ran.stderr, ran.returncode)

    def _variables(self) -> dict[str, str]:
        return ansible_environment(self.program, self.folder, self.lab.endpoint, self.lab.state)


def ansible_environment(program: str, home: Path, endpoint: dict[str, Any], state: Path) -> dict[str, str]:
    """What aims community.proxmox at a lab, as its token, the certificate checked."""
    host, _, port = endpoint["url"].removeprefix("https://").partition(":")
    user, _, token = endpoint["token_id"].partition("!")
    return {
        "PATH": f"{Path(program).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PROXMOX_HOST": host,
        "PROXMOX_PORT": port,
        "PROXMOX_USER": user,
        "PROXMOX_TOKEN_ID": token,
        "PROXMOX_TOKEN_SECRET": endpoint["token"],
        "PROXMOX_VALIDATE_CERTS": "true",
        "REQUESTS_CA_BUNDLE": str(state / "tls.pem"),
    }


def _variables(machine: Machine, environment: Environment) -> dict[str, Any]:
    """What differs from machine to machine."""
    system, *others = machine.disks
    imported = f"{system.storage}:0,import-from={images.volume(environment)},{_OPTIONS}"
    return {
        "vmid": machine.vmid + OFFSET,
        "scsi": {
            system.slot: imported,
            **{disk.slot: f"{disk.storage}:{disk.gib},{_OPTIONS}" for disk in others},
        },
    }


def _tasks(machine: Machine, *, update: bool) -> Sequence[dict[str, Any]]:
    """Create, grow, start; every setting that our client asks for as well."""
    wanted = machines.settings(machine)
    own = {"serial0": wanted.pop("serial0")}
    system = machine.disks[0]
    which = {"node": machine.node, "vmid": "{{ vmid }}", "name": "{{ inventory_hostname }}"}
    created = {
        **which,
        **wanted,
        "tags": ["theirs"],
        "vga": "serial0",
        "serial": own,
        "boot": f"order={system.slot}",
        "net": {"net0": f"virtio,bridge={machine.bridge}"},
        "scsi": "{{ scsi }}",
        **({"update": True} if update else {}),
    }
    grown = {"vmid": "{{ vmid }}", "disk": system.slot, "size": f"{system.gib}G", "state": "resized"}
    return [
        {"name": "create", "community.proxmox.proxmox_kvm": created},
        {"name": "grow", "community.proxmox.proxmox_disk": grown},
        {"name": "start", "community.proxmox.proxmox_kvm": {**which, "state": "started"}},
    ]


def _recap(said: str, code: int) -> tuple[int, int]:
    if "couldn't resolve module" in said:
        raise NoAnsible("Ansible is here, its collection community.proxmox is not")
    if "Failed to import the required Python library" in said:
        raise NoAnsible("Ansible is here, its Python has no proxmoxer and requests")
    if code:
        raise SystemExit(f"ansible-playbook ended with {code}:\n{said[-4000:]}")
    counts = re.findall(r"^theirs-\d+\s*: ok=(\d+)\s+changed=(\d+)", said, re.MULTILINE)
    return sum(int(changed) for _, changed in counts), sum(int(ok) for ok, _ in counts)
