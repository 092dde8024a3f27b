"""The generated inventory: groups, settings, known hosts; loaded by pyinfra itself; nothing secret in it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import config, inventory
from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.config.demo import build
from bootstrap.generated import File
from bootstrap.gitops import Workloads
from bootstrap.secrets import Secret
from deploys.settings import Settings

SEED = Secret("canary-seed-of-the-inventory-tests")
CHECKOUT = Path(__file__).parents[2]
STAND_IN = {"version": "v1.36.4+k3s1-standin", "url": "http://10.77.0.1:8000/k3s", "sha256": "0" * 64}


def _environment(name: str) -> Environment:
    return build({"k3s": STAND_IN, "argocd": STAND_IN}) if name == "demo" else config.load(name)


@pytest.fixture(params=["demo", "staging", "production"])
def cluster(request: pytest.FixtureRequest) -> K3sCluster:
    return K3sCluster(_environment(request.param))


def _workloads(cluster: K3sCluster) -> Workloads:
    return Workloads.of(cluster.environment, CHECKOUT)


def _written(cluster: K3sCluster, project: Path) -> list[File]:
    files = inventory.files(cluster, _workloads(cluster), project, SEED)
    for file in files:
        assert file.write()
    return files


def test_the_hosts_are_the_machines_and_nothing_else(cluster: K3sCluster) -> None:
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    exec(inventory.hosts(cluster), {}, found)
    found.pop("__doc__")

    assert set(found) == {"k3s_servers", "k3s_agents", "machines"}
    assert found["k3s_servers"] == [(m.name, {"ssh_hostname": m.address}) for m in cluster.servers]
    assert found["machines"] == [(m.name, {"ssh_hostname": m.address}) for m in cluster.machines]


def test_an_empty_group_is_left_out_because_pyinfra_stumbles_over_it(staging: Environment) -> None:
    alone = staging.model_copy(update={"agents": ()})

    assert "k3s_agents" not in inventory.hosts(K3sCluster(alone))


def test_the_deploys_accept_the_settings(cluster: K3sCluster) -> None:
    settings = Settings.model_validate(inventory.settings(cluster, _workloads(cluster)))

    assert settings.environment == cluster.environment.name


def test_pyinfra_itself_loads_the_inventory(cluster: K3sCluster, project: Path) -> None:
    _written(cluster, project)
    name = cluster.environment.name
    command = [
        str(Path(sys.executable).with_name("pyinfra")),
        f"inventories/{name}.py",
        "debug-inventory",
        "--json",
    ]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for machine in cluster.machines:
        assert machine.name in ran.stdout
        assert machine.address in ran.stdout
    assert SEED.reveal() not in ran.stdout + ran.stderr


def test_known_hosts_has_every_name_and_address(cluster: K3sCluster) -> None:
    lines = inventory.known_hosts(cluster, SEED).splitlines()

    assert [line.split()[0].split(",")[0] for line in lines] == [machine.name for machine in cluster.machines]
    for line, machine in zip(lines, cluster.machines, strict=True):
        names, kind, key = line.split()
        assert set(names.split(",")) == {machine.name, *(str(address.ip) for address in machine.addresses)}
        assert kind == "ssh-ed25519"
        assert len(base64.b64decode(key)) == 51


def test_a_file_is_written_only_when_it_differs(cluster: K3sCluster, project: Path) -> None:
    files = _written(cluster, project)
    before = [file.path.stat().st_mtime_ns for file in files]

    assert [file.write() for file in inventory.files(cluster, _workloads(cluster), project, SEED)] == [
        False,
        False,
        False,
    ]
    assert [file.path.stat().st_mtime_ns for file in files] == before


def test_without_the_seed_known_hosts_is_left_out(cluster: K3sCluster, project: Path) -> None:
    assert [file.path.suffix for file in inventory.files(cluster, _workloads(cluster), project, None)] == [
        ".py",
        ".py",
    ]


@pytest.mark.parametrize("name", ["staging", "production"])
def test_the_committed_inventory_is_up_to_date(name: str, checkout: Path) -> None:
    cluster = K3sCluster(config.load(name))
    stale = [
        file.path.name for file in inventory.files(cluster, _workloads(cluster), checkout, None) if file.stale
    ]

    assert stale == [], f"run: rzp-bootstrap inventory {name}"


def test_the_settings_are_plain_json(cluster: K3sCluster) -> None:
    settings = inventory.settings(cluster, _workloads(cluster))

    assert json.loads(json.dumps(settings)) == settings
