"""A machine's life through the real client library: create, change, resize, start, stop, destroy; and the ways to get it wrong."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ResourceException

if TYPE_CHECKING:
    from collections.abc import Callable

    Finish = Callable[[Any, str], tuple[str, list[str]]]

MACHINE = {
    "vmid": 120,
    "name": "demo-server-1",
    "cores": 2,
    "memory": 2048,
    "ostype": "l26",
    "net0": "virtio=BC:24:11:00:01:20,bridge=vmbr0",
    "scsi0": "vmdata:0,import-from=local:import/debian.qcow2,discard=on",
    "tags": "rzp;rzp-demo",
    "smbios1": "uuid=5b1c7e0e-2f0a-5d6c-8b1e-0123456789ab",
    "boot": "order=scsi0",
}


def iso(name: str) -> io.BytesIO:
    file = io.BytesIO(bytes(376832))
    file.name = name
    return file


def test_a_machine_is_made_changed_started_stopped_and_destroyed(
    plan: dict[str, Any], start_lab: Any, connect: Any, finish: Finish
) -> None:
    api = connect(start_lab(plan | {"pace": 0.3}))  # long enough to be seen at work
    node = api.nodes("pve1")
    upid = node.qemu.post(**MACHINE)
    assert node.qemu(120).config.get().keys() == {"lock", "digest"}
    assert finish(api, upid)[0] == "OK"
    assert finish(api, node.storage("local").upload.post(content="iso", filename=iso("seed.iso")))[0] == "OK"
    vm = node.qemu(120)
    vm.config.put(scsi1="local:iso/seed.iso,media=cdrom", digest=vm.config.get()["digest"])
    vm.config.put(boot="order=scsi0")
    assert finish(api, vm.resize.put(disk="scsi0", size="20G"))[0] == "OK"
    assert finish(api, vm.status.start.post())[0] == "OK"
    assert vm.status.current.get()["status"] == "running"
    vm.config.put(scsi1="none,media=cdrom", cores=3)
    config = vm.config.get(current=1)
    assert (config["scsi1"], config["cores"], config["memory"]) == ("none,media=cdrom", 2, "2048")
    assert config["scsi0"] == "vmdata:120/vm-120-disk-0.qcow2,discard=on,size=20G"
    assert vm.config.get()["cores"] == 3
    assert finish(api, node.storage("local").content("local:iso/seed.iso").delete())[0] == "OK"
    assert finish(api, vm.status.shutdown.post(timeout=5, forceStop=1))[0] == "OK"
    assert finish(api, vm.delete(purge=1))[0] == "OK"
    assert node.qemu.get() == []


def test_of_four_creates_of_one_vmid_one_wins(
    lab: dict[str, Any], connect: Callable[[dict[str, Any]], Any]
) -> None:
    answers: list[str] = []

    def create() -> None:
        try:
            answers.append(connect(lab).nodes("pve1").qemu.post(vmid=130, name="race"))
        except ResourceException as error:
            answers.append(str(error.content))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer[:5] for answer in answers) == ["UPID:", "unabl", "unabl", "unabl"]
    assert "unable to create VM 130 - VM 130 already exists on node 'pve1'" in answers


UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
WRONG = {
    "onboot": ("True", "type check ('boolean') failed - got 'True'"),
    "cores": ("0", "value must have a minimum value of 1"),
    "name": ("a_b", "invalid format - value does not look like a valid DNS name\n"),
    "tags": ("a b!", "invalid format - invalid characters in tag\n"),
    "memory": ("8", "invalid format - format error\nmemory.current: value must have a minimum value of 16\n"),
    "machine": (
        "q36",
        "invalid format - format error\nmachine.type: value does not match the regex pattern\n",
    ),
    "nope": ("1", UNKNOWN),
    "net0": (
        "virtio=zz,bridge=vmbr0",
        "invalid format - format error\nnet0.macaddr: invalid format - value does not look like a valid unicast MAC address\n\n",
    ),
    "scsi1": (
        "vmdata:4,colour=red",
        "invalid format - invalid key in comma-separated list property: colour\n",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_named(api: Any, name: str) -> None:
    value, error = WRONG[name]
    with pytest.raises(ResourceException) as refused:
        api.nodes("pve1").qemu.post(vmid=120, **{name: value})
    assert refused.value.status_code == 400
    assert refused.value.content == "Parameter verification failed."
    assert refused.value.errors == {name: error}


def test_a_create_that_fails_leaves_nothing(api: Any, finish: Finish) -> None:
    node = api.nodes("pve1")
    end, log = finish(api, node.qemu.post(**{**MACHINE, "scsi2": "vmdata:999999999"}))
    assert end.startswith(
        "unable to create VM 120 - unable to create image: qemu-img: /var/lib/vmdata/images/120/vm-120-disk-1.raw: "
    )
    assert log[-1] == f"TASK ERROR: {end}"
    assert node.qemu.get() == []
    end, _ = finish(
        api, node.qemu.post(**{**MACHINE, "scsi0": "vmdata:0,import-from=local:import/none.qcow2"})
    )
    assert end == "unable to create VM 120 - failed to stat '/var/lib/vz/import/none.qcow2'"


def test_a_stale_digest_changes_nothing(api: Any, finish: Finish) -> None:
    finish(api, api.nodes("pve1").qemu.post(**MACHINE))
    vm = api.nodes("pve1").qemu(120)
    digest = vm.config.get()["digest"]
    vm.config.put(cores=3, digest=digest)
    with pytest.raises(ResourceException, match="checksum mismatch"):
        vm.config.put(cores=4, digest=digest)
    assert vm.config.get()["cores"] == 3


def test_a_bridge_is_missed_at_the_start_only(api: Any, finish: Finish) -> None:
    finish(api, api.nodes("pve1").qemu.post(**{**MACHINE, "net0": "virtio,bridge=vmbr9"}))
    assert finish(api, api.nodes("pve1").qemu(120).status.start.post())[0] == "bridge 'vmbr9' does not exist"


def test_protection_keeps_the_machine_and_its_disks(api: Any, finish: Finish) -> None:
    finish(api, api.nodes("pve1").qemu.post(**MACHINE, protection=1))
    vm = api.nodes("pve1").qemu(120)
    with pytest.raises(ResourceException, match="can't remove VM 120 - protection mode enabled"):
        vm.delete()
    with pytest.raises(ResourceException, match="can't remove drive 'scsi0' - protection mode enabled"):
        vm.config.put(delete="scsi0")
