"""The facts: scripts that only read, and parsers of their text."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploys.facts import argocd, cluster
from deploys.facts.node import Node, parse
from deploys.facts.questions import Questions, for_host
from deploys.facts.script import gathering
from deploys.health import lacking
from deploys.settings import DataDisk, Settings

Lines = dict[str, Callable[..., list[str]]]


def _sh(script: str) -> list[str]:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="the hosts are Linux machines")
def test_the_script_reads_this_machine(tmp_path: Path, settings: Settings) -> None:
    text, secret = tmp_path / "a text", tmp_path / "secret"
    text.write_text("two\nlines\twith a tab\n")
    secret.write_text("hidden")
    secret.chmod(0o600)
    questions = Questions(
        texts=(str(text), "/nowhere"),
        hashes=(str(secret),),
        exist=("/etc", "/nowhere"),
        sysctls=("kernel.ostype",),
        disks=(DataDisk(device="/dev/nowhere", mount="/mnt"),),
    )
    lines = _sh(gathering(questions))
    node = parse(lines)
    assert node.read
    assert node.text(str(text)) == "two\nlines\twith a tab\n"
    assert node.files[str(secret)].mode == 0o600
    assert node.text(str(secret)) is None
    assert not any("hidden" in line or base64.b64encode(b"hidden").decode() in line for line in lines)
    assert node.exists == {"/etc"}
    assert node.sysctls == {"kernel.ostype": "Linux"}
    assert node.disks == {}
    assert (
        _sh(gathering(for_host(settings, "s1")))[-1] == "end"
    )  # the whole script of a server is valid sh as well


def test_a_host_that_says_nothing_or_not_everything_was_not_read(settings: Settings, lines_of: Lines) -> None:
    assert parse([]) == Node()
    assert parse(["a banner", "", "cloud\tnine"]) == Node()
    lines = lines_of["node"](settings, "s1")
    assert parse(lines).read
    assert not parse(lines[:-1]).read


def test_units_are_read_from_systemctl_show() -> None:
    lines = "Id=k3s.service|ActiveState=activating|NeedDaemonReload=yes|Job=17||Id=swap.target|UnitFileState=masked"
    node = parse([f"unit\t{line}" for line in lines.split("|")])
    assert node.unit("k3s.service").active == "activating"
    assert node.unit("k3s.service").reload_due
    assert node.unit("k3s.service").queued
    assert node.unit("swap.target").file == "masked"
    assert node.unit("absent.service").active == "inactive"


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WIPEFS = "DEVICE OFFSET TYPE UUID LABEL\nsdb 0x1fe dos\n"
DISKS: dict[str, tuple[str, bool]] = {
    "nothing found": ("2\t\t\t0", True),
    "a file system": (f"0\t{_b64('TYPE=ext4')}\t\t0", False),
    "a partition table": (f"0\t{_b64('PTTYPE=gpt')}\t\t0", False),
    "partitions alone": ("2\t\t\t2", False),
    "a signature that only wipefs knows": (f"2\t\t{_b64(WIPEFS)}\t0", False),
    "not readable": ("99\t\t\t0", False),
    "more than one thing": ("8\t\t\t0", False),
}


@pytest.mark.parametrize(("answer", "empty"), DISKS.values(), ids=DISKS)
def test_a_disk_is_empty_only_if_all_three_tools_say_so(answer: str, empty: bool) -> None:
    disk = parse([f"disk\t/dev/data\t/dev/sdb\t8:10\t{answer}\t{1 << 30}\t"]).disks["/dev/data"]
    assert disk.empty is empty
    assert disk.majmin == "8:16"
    assert empty or disk.content


GIB = 1 << 30
HELD: dict[
    str, tuple[int, int, int]
] = {  # the disk's bytes, its ext4's blocks of 4096 bytes, what it would gain
    "as large as the disk": (GIB, 262144, 0),
    "a part of a block left": (GIB + 4095, 262144, 0),
    "a group without its last block": (GIB + 128 * 2**20 - 4096, 262144, 0),
    "room for one more group": (GIB + 128 * 2**20, 262144, 128 * 2**20),
    "twice as large": (2 * GIB, 262144, GIB),
    "smaller than its file system": (GIB // 2, 262144, 0),
}


@pytest.mark.parametrize(("size", "blocks", "room"), HELD.values(), ids=HELD)
def test_the_room_on_a_disk_is_counted_in_blocks_and_from_a_whole_group_on(
    dumpe2fs: Callable[..., str], size: int, blocks: int, room: int
) -> None:
    tags = _b64("TYPE=ext4\nUUID=u\n")
    answer = f"disk\t/dev/data\t/dev/sdb\t8:10\t0\t{tags}\t\t0\t{size}\t{dumpe2fs(blocks)}"
    assert parse([answer]).disks["/dev/data"].room == room


def test_a_disk_without_ext4_has_no_extent() -> None:
    for said in ("", _b64("Block count: \n"), _b64("Bad magic number: 5\n")):
        assert parse([f"disk\td\t/dev/sdb\t8:10\t2\t\t\t0\t{GIB}\t{said}"]).disks["d"].extent is None


ROOTS: dict[
    str, tuple[dict[str, int], int, int]
] = {  # sectors; what the partition and the file system would gain
    "to the end, with the second GPT behind it": ({}, 0, 0),
    "1 MiB behind it, which growpart does not take": ({"total": 41943040 + 2048}, 0, 0),
    "more than 1 MiB behind it": ({"total": 41943040 + 2049}, 2049 * 512, 0),
    "10 GiB behind it": ({"total": 41943040 + 20971520}, 10 * GIB, 0),
    "the partition is larger already": ({"blocks": 5210107 - 262144}, 0, GIB + 3584),
}


@pytest.mark.parametrize(("fields", "gain", "room"), ROOTS.values(), ids=ROOTS)
def test_the_partition_of_the_root_file_system_is_compared_with_its_disk(
    system_disk: Callable[..., str], fields: dict[str, int], gain: int, room: int
) -> None:
    root = parse([system_disk(**fields)]).root
    assert (root.device, root.disk, root.number) == ("/dev/sda1", "/dev/sda", 1)
    assert (root.gain, root.room) == (gain, room)


def test_a_partition_grows_at_most_to_the_next_one(system_disk: Callable[..., str]) -> None:
    line = system_disk(total=62914560).replace("262144 2048 8192", "262144 41947103 8192")
    assert parse([line]).root.gain == 4096 * 512


def test_a_root_file_system_that_is_on_no_partition_is_only_named() -> None:
    root = parse(["root\toverlay"]).root
    assert (root.filesystem, root.disk, root.gain, root.room) == ("overlay", "", 0, 0)


def test_the_cluster_is_read_from_one_answer(settings: Settings, lines_of: Lines) -> None:
    seen = cluster.parse(lines_of["cluster"](settings))
    assert seen.missing("s1", version=settings.k3s.version, address="192.0.2.20", voter=True) is None
    assert seen.nodes["a1"].taints == {"only=storage:NoSchedule"}
    assert seen.nodes["a1"].owned(cluster.LABELS) == {"disk", "node.longhorn.io/create-default-disk"}


def _mangled(lines: list[str], before: str, after: str) -> list[str]:
    return [line.replace(before, after) for line in lines]


MISSING: dict[str, tuple[tuple[str, str], dict[str, Any], str]] = {
    "no API": (("readyz\tok", "readyz\tetcd failed"), {}, "the API is not ready (etcd failed)"),
    "not registered": (('"name": "s1"', '"name": "other"'), {}, "Node s1 has not registered"),
    "not Ready": (('"status": "True"', '"status": "Unknown"'), {}, "Node s1 is not Ready (Ready=Unknown)"),
    "another version": (("v1.36.4", "v1.36.2"), {}, "Node s1 runs v1.36.2+k3s1, not v1.36.4+k3s1"),
    "another address": (("192.0.2.20", "10.0.0.9"), {}, "not 192.0.2.20"),
    "a learner": (("EtcdIsVoter", "Other"), {}, "s1 is no voter of etcd yet (EtcdIsVoter=absent)"),
}


@pytest.mark.parametrize(("change", "more", "words"), MISSING.values(), ids=MISSING)
def test_what_a_server_lacks_is_said(
    settings: Settings, lines_of: Lines, change: tuple[str, str], more: dict[str, Any], words: str
) -> None:
    seen = cluster.parse(_mangled(lines_of["cluster"](settings), *change))
    missing = seen.missing("s1", version=settings.k3s.version, address="192.0.2.20", voter=True, **more)
    assert missing is not None
    assert words in missing


def test_a_cluster_that_does_not_answer_is_empty() -> None:
    assert cluster.parse([]) == cluster.Cluster()
    assert cluster.parse(["unit\tinactive", "readyz\trefused", "nodes"]).nodes == {}


def test_argocd_is_read_from_one_answer(settings: Settings, lines_of: Lines) -> None:
    seen = argocd.parse(lines_of["argocd"](settings))
    assert seen.missing is None
    assert set(seen.applied) == {"argocd/namespace/argocd", "argocd/applications.argoproj.io/root"}
    assert all(seen.applied.values())
    assert lacking(seen.verdicts) is None
    assert seen.followed == seen.applied["argocd/applications.argoproj.io/root"]


def test_a_controller_that_is_down_or_absent_is_named(settings: Settings, lines_of: Lines) -> None:
    down = argocd.parse(
        _mangled(lines_of["argocd"](settings), '"availableReplicas": 1', '"availableReplicas": 0')
    )
    assert down.missing is not None
    assert "deployment/argocd-server 0/1" in down.missing
    assert "absent: statefulset/argocd-application-controller" in str(argocd.ArgoCD().missing)


def test_only_the_checksum_of_a_secret_leaves_the_host(tmp_path: Path) -> None:
    kubectl = tmp_path / "k3s"
    kubectl.write_text(
        """#!/bin/sh
case "$*" in *appl*) echo '{'; echo '    "items": []'; echo '}';; *project*) echo '{}';; *"-n there get secret"*) printf '{\\n "data": {"password": "Y2FuYXJ5"},\\n  "annotations": {\\n    "rzp.io/content": "c0ffee"\\n }}\\n';; *) exit 1;; esac
"""
    )
    kubectl.chmod(0o755)
    objects = ("there/secret/x", "argocd/project/core", "argocd/namespace/none", "argocd/secret/x")
    lines = _sh(argocd.script(objects).replace("/usr/local/bin/k3s", str(kubectl)))
    seen = argocd.parse(lines)
    assert seen.applied == {"there/secret/x": "c0ffee", "argocd/project/core": ""}
    assert lacking(seen.verdicts) == "root absent"
    assert "Y2FuYXJ5" not in "".join(lines)


def test_each_list_is_read_to_its_own_end() -> None:
    """The workloads could not be listed, and the last list was cut off."""
    lines = ["workloads", "applications", "{", '    "items": [1]', "}", "more", "{", '    "items": [2]']
    assert cluster.items(lines, "workloads") == []
    assert cluster.items(lines, "applications") == [1]
    assert cluster.items(lines, "more") == []
