"""Other people's clients, as they are, create, list and delete a machine: what is honest towards us is honest towards them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ProxmoxAPI
from proxmoxer.tools import Tasks

from tests.benchmarks.playbook import ansible_environment

if TYPE_CHECKING:
    from collections.abc import Callable

RZP_ANSIBLE = os.environ.get("RZP_ANSIBLE", "")
PLAYBOOK = shutil.which("ansible-playbook", path=RZP_ANSIBLE or None)
VM = {"node": "pve1", "vmid": 120, "name": "theirs"}
MACHINE = {
    **VM,
    "cores": 2,
    "memory": 2048,
    "ostype": "l26",
    "scsihw": "virtio-scsi-single",
    "scsi": {"scsi0": "vmdata:0,import-from=local:import/debian.qcow2", "scsi1": "vmdata:2,discard=on"},
    "net": {"net0": "virtio,bridge=vmbr0"},
    "tags": ["b", "a"],
    "onboot": True,
    "agent": "enabled=1",
    "description": "made by somebody else",
}
KVM, INFO = "community.proxmox.proxmox_kvm", "community.proxmox.proxmox_vm_info"
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("create", KVM, MACHINE),
    ("create again", KVM, MACHINE),
    ("list", INFO, {"type": "qemu", "config": "current"}),
    ("start", KVM, {**VM, "state": "started"}),
    ("start again", KVM, {**VM, "state": "started"}),
    ("update", KVM, {**VM, "update": True, "cores": 4, "description": "changed"}),
    ("list pending", INFO, {"type": "all", "config": "pending", "name": "theirs"}),
    ("remove while on", KVM, {**VM, "state": "absent"}),
    ("stop", KVM, {**VM, "state": "stopped", "force": True}),
    ("current", KVM, {**VM, "state": "current"}),
    ("remove", KVM, {**VM, "state": "absent", "purge": True}),
    ("remove again", KVM, {**VM, "state": "absent"}),
    ("list at the end", INFO, {"type": "all"}),
]


@pytest.mark.parametrize("pve", ["8.4", "9.2"])
def test_proxmoxer_with_a_password_and_its_own_tools(
    plan: dict[str, Any], start_lab: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path, pve: str
) -> None:
    endpoint = start_lab({**plan, "pve": pve, "statistics_interval": 0})
    host, _, port = endpoint["url"].removeprefix("https://").partition(":")
    api = ProxmoxAPI(
        host,
        port=int(port),
        user="root@pam",
        password=endpoint["root_password"],
        verify_ssl=str(tmp_path / "lab" / "tls.pem"),
    )

    def done(upid: str) -> None:
        assert Tasks.decode_upid(upid)["user"] == "root@pam"
        assert Tasks.blocking_status(api, upid, timeout=20, polling_interval=0.02)["exitstatus"] == "OK"

    vmid = api.cluster.nextid.get()
    done(
        api.nodes("pve1").qemu.create(vmid=vmid, name="theirs", scsi0="vmdata:1", net0="virtio,bridge=vmbr0")
    )
    assert [vm["name"] for vm in api.cluster.resources.get(type="vm")] == ["theirs"]
    done(api.nodes("pve1").qemu(vmid).status.start.post())
    assert api.nodes("pve1").qemu(vmid).status.current.get()["status"] == "running"
    done(api.nodes("pve1").qemu(vmid).status.stop.post())
    done(api.nodes("pve1").qemu(vmid).delete(purge=1))
    assert api.cluster.resources.get(type="vm") == []
    api._store["session"].close()


def play(folder: Path, endpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What Ansible's modules answered, step by step."""
    assert PLAYBOOK
    tasks: list[dict[str, Any]] = []
    for number, (name, module, arguments) in enumerate(STEPS):
        tasks.append({"name": name, module: arguments, "register": f"step{number}"})
    shown = ", ".join(f"'{name}': step{number}" for number, (name, _, _) in enumerate(STEPS))
    kept = {
        "content": "{{ {" + shown + "} | to_json }}",
        "dest": str(folder / "results.json"),
        "mode": "0600",
    }
    tasks.append({"name": "keep the answers", "ansible.builtin.copy": kept})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]))
    variables = ansible_environment(str(PLAYBOOK), folder, endpoint, folder / "lab")
    command = [PLAYBOOK, "-i", "localhost,", "-e", "ansible_python_interpreter={{ ansible_playbook_python }}"]
    ran = subprocess.run(
        [*command, str(folder / "play.json")],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = ran.stdout + ran.stderr
    if "couldn't resolve module" in said:
        pytest.skip("Ansible is here, its collection community.proxmox is not")
    if "Failed to import the required Python library" in said:
        pytest.skip("Ansible is here, its Python has no proxmoxer and requests")
    assert ran.returncode == 0, said[-4000:]
    return dict(json.loads((folder / "results.json").read_text()))


@pytest.mark.skipif(
    PLAYBOOK is None,
    reason="Ansible is not installed: no ansible-playbook on PATH or in the folder that RZP_ANSIBLE names",
)
@pytest.mark.parametrize("pve", ["8.4", "9.2"])
def test_ansibles_modules_create_list_change_and_delete_a_machine(
    plan: dict[str, Any], start_lab: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path, pve: str
) -> None:
    endpoint = start_lab({**plan, "pve": pve, "statistics_interval": 0})
    began = time.time()
    said = play(tmp_path, endpoint)

    changed = [name for name, answer in said.items() if answer["changed"]]
    assert changed == ["create", "start", "update", "stop", "remove"]
    made = said["list"]["proxmox_vms"]
    assert [(vm["vmid"], vm["name"], vm["status"], vm["node"]) for vm in made] == [
        (120, "theirs", "stopped", "pve1")
    ]
    config = made[0]["config"]
    assert (config["cores"], config["memory"], config["onboot"], config["ostype"]) == (2, "2048", 1, "l26")
    assert config["scsi1"] == "vmdata:120/vm-120-disk-1.raw,discard=on,size=2G"
    assert config["tags"] == ("b,a" if pve == "8.4" else "a;b")
    assert int(config["meta"].partition("ctime=")[2]) >= int(began)
    assert said["create"]["mac"]["net0"] == config["net0"].partition("=")[2].partition(",")[0]
    pending = said["list pending"]["proxmox_vms"][0]
    assert (pending["status"], pending["config"]["cores"]) == ("running", 4)
    assert pending["config"]["description"] == "changed"
    assert said["remove while on"]["msg"].startswith("VM 120 is running. Stop it before deletion")
    assert said["current"]["status"] == "stopped"
    assert said["list at the end"]["proxmox_vms"] == []
