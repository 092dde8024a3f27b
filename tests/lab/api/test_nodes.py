"""A cluster of several nodes: whose storage is whose, and machines that move."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ProxmoxAPI, ResourceException

from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from tests.lab.api.conftest import as_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Finish = Callable[[Any, str, str], tuple[str, list[str]]]

CLUSTER: dict[str, Any] = {
    "nodes": ["pve1", "pve2", "pve3"],
    "storages": [
        {"storage": "local", "type": "dir", "content": "iso,import", "shared": 0},
        {"storage": "vmdata", "type": "dir", "content": "images", "shared": 0},
        {"storage": "nas", "type": "nfs", "content": "images,iso,import", "shared": 1},
    ],
    "statistics_interval": 0,
}


@pytest.fixture
def root(
    plan: dict[str, Any], start_lab: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> Iterator[Any]:
    """The cluster as root@pam sees it."""
    endpoint = start_lab(plan | CLUSTER)
    with as_root(endpoint, tmp_path / "lab") as api:
        yield api


def iso(name: str) -> io.BytesIO:
    file = io.BytesIO(bytes(2048))
    file.name = name
    return file


def volids(api: Any, node: str, storage: str) -> list[str]:
    return [one["volid"] for one in api.nodes(node).storage(storage).content.get()]


def done(api: Any, finish: Finish, node: str, upid: str) -> str:
    return finish(api, upid, node)[0]


def test_what_is_on_a_shared_storage_is_seen_by_all_nodes_and_a_local_thing_by_one(
    root: Any, finish: Finish
) -> None:
    for storage in ("local", "nas"):
        upid = root.nodes("pve2").storage(storage).upload.post(content="iso", filename=iso("seed.iso"))
        assert done(root, finish, "pve2", upid) == "OK"
    assert [volids(root, node, "nas") for node in CLUSTER["nodes"]] == [["nas:iso/seed.iso"]] * 3
    assert "local:iso/seed.iso" in volids(root, "pve2", "local")
    assert "local:iso/seed.iso" not in volids(root, "pve1", "local")
    shared = {one["id"]: one["shared"] for one in root.cluster.resources.get(type="storage")}
    assert (shared["storage/pve3/nas"], shared["storage/pve3/vmdata"]) == (1, 0)


def test_the_cluster_knows_which_nodes_are_off_and_whether_it_is_quorate(
    root: Any, fault: Callable[..., None], tmp_path: Path
) -> None:
    def status() -> list[int]:
        told = root.cluster.status.get()
        return [one["quorate" if one["type"] == "cluster" else "online"] for one in told]

    assert status() == [1, 1, 1, 1]
    fault("*", "/nodes/pve2", "node-down")
    assert status() == [1, 1, 0, 1]
    down = [FaultRule(path=f"/nodes/{node}", kind="node-down") for node in ("pve2", "pve3")]
    faults.write(tmp_path / "lab", down)
    assert status() == [0, 1, 0, 0]
    with pytest.raises(ResourceException, match="node 'pve2' is offline"):
        root.nodes("pve1").qemu(120).migrate.post(target="pve2")


@pytest.mark.parametrize("disk", ["nas:1", "vmdata:1"])
def test_a_stopped_machine_moves_with_its_disks(root: Any, finish: Finish, disk: str) -> None:
    upid = root.nodes("pve1").qemu.post(vmid=120, name="one", scsi0=disk, tags="rzp")
    assert done(root, finish, "pve1", upid) == "OK"
    before = root.nodes("pve1").qemu(120).config.get()
    upid = root.nodes("pve1").qemu(120).migrate.post(target="pve2")
    assert ":qmigrate:120:" in upid
    assert done(root, finish, "pve1", upid) == "OK"
    assert [vm["node"] for vm in root.cluster.resources.get(type="vm")] == ["pve2"]
    assert root.nodes("pve2").qemu(120).config.get() == before
    with pytest.raises(ResourceException, match=r"'nodes/pve1/qemu-server/120\.conf' does not exist"):
        root.nodes("pve1").qemu(120).config.get()
    assert done(root, finish, "pve2", root.nodes("pve2").qemu(120).status.start.post()) == "OK"
    assert done(root, finish, "pve2", root.nodes("pve2").qemu(120).status.stop.post()) == "OK"
    assert done(root, finish, "pve2", root.nodes("pve2").qemu(120).delete()) == "OK"
    storage = disk.partition(":")[0]
    assert [volids(root, node, storage) for node in ("pve1", "pve2")] == [[], []]


def test_a_running_machine_stays_on_while_it_moves(root: Any, finish: Finish) -> None:
    node = root.nodes("pve1")
    assert done(root, finish, "pve1", node.qemu.post(vmid=120, scsi0="vmdata:1")) == "OK"
    assert done(root, finish, "pve1", node.qemu(120).status.start.post()) == "OK"
    with pytest.raises(ResourceException, match="can't migrate running VM without --online"):
        node.qemu(120).migrate.post(target="pve2")
    assert (
        done(root, finish, "pve1", node.qemu(120).migrate.post(target="pve2", online=1))
        == "migration aborted"
    )
    upid = node.qemu(120).migrate.post(**{"target": "pve2", "online": 1, "with-local-disks": 1})
    assert done(root, finish, "pve1", upid) == "OK"
    assert root.nodes("pve2").qemu(120).status.current.get()["status"] == "running"


def test_a_machine_with_a_local_iso_stays(root: Any, finish: Finish) -> None:
    node = root.nodes("pve1")
    done(root, finish, "pve1", node.storage("local").upload.post(content="iso", filename=iso("seed.iso")))
    done(
        root, finish, "pve1", node.qemu.post(vmid=120, scsi0="nas:1", scsi1="local:iso/seed.iso,media=cdrom")
    )
    assert done(root, finish, "pve1", node.qemu(120).migrate.post(target="pve2")) == "migration aborted"


def test_moving_needs_another_node_that_exists_and_the_privilege(
    root: Any, finish: Finish, tmp_path: Path
) -> None:
    done(root, finish, "pve1", root.nodes("pve1").qemu.post(vmid=120))
    vm = root.nodes("pve1").qemu(120)
    with pytest.raises(ResourceException, match=r"target is local node\."):
        vm.migrate.post(target="pve1")
    with pytest.raises(ResourceException, match="no such cluster node 'pve9'"):
        vm.migrate.post(target="pve9")
    secret = root.access.users("rzp@pve").token("second").post(privsep=0)["value"]
    token = ProxmoxAPI(
        root._store["base_url"].removeprefix("https://").partition("/")[0],
        user="rzp@pve",
        token_name="second",
        token_value=secret,
        verify_ssl=str(tmp_path / "lab" / "tls.pem"),
    )
    with pytest.raises(ResourceException, match=r"/vms/120, VM\.Migrate"):
        token.nodes("pve1").qemu(120).migrate.post(target="pve2")
    token._store["session"].close()
