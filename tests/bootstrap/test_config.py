"""Environments: what is refused, with which words, and what the shipped ones amount to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bootstrap import config
from bootstrap.config.base import Environment
from bootstrap.config.demo import build, lab_folder
from bootstrap.config.pool import Pool
from bootstrap.config.software import Pin
from bootstrap.errors import InvalidEnvironment


def _changed(environment: Environment, path: str, value: Any) -> dict[str, Any]:
    data = environment.model_dump()
    keys = path.split(".")
    place: Any = data
    for key in keys[:-1]:
        place = place[int(key)] if key.isdigit() else place[key]
    place[keys[-1]] = value
    return data


REFUSED = [
    ("servers.count", 2, "2 servers: an even number (or none) gains no quorum; use 3 or 1"),
    ("servers.count", 0, "0 servers"),
    (
        "agents.0.count",
        12,
        "agent.count 12 from VMID 130 does not fit VMIDs 120-139; lower the count or widen vmids",
    ),
    ("agents.0.first_vmid", 120, "VMID 120 is asked for by server-1 and agent-1"),
    ("agents.0.first_host", 20, "host number 20 (10.10.0.0/24) is asked for by server-1 and agent-1"),
    ("agents.0.first_host", 254, "host number 255 does not fit 10.10.0.0/24; lower first_host"),
    ("servers.first_host", 1, "address 10.10.0.1 is the gateway's; move first_host"),
    ("agents.0.name", "Agent_1", "is no hostname; use lower-case letters"),
    ("agents.0.name", "server", "name server is given twice"),
    ("agents.0.taints", ["bad"], "'bad' is no taint; write key=value:NoSchedule"),
    ("agents.0.labels", {"node-role.kubernetes.io/x": ""}, "is reserved and would stop the kubelet"),
    ("agents.0.nodes", ["pve9"], "agent.nodes names pve9, but proxmox.nodes are"),
    ("network.dns", [], "static addresses need at least one DNS server; add it"),
    ("network.ipv4.gateway", "10.11.0.1", "gateway 10.11.0.1 is not inside 10.10.0.0/24"),
    ("network.vlan", 5000, "less than or equal to 4094"),
    ("network.ipv6", None, "k3s.cluster_cidr has IPv4 and IPv6, the machines have IPv4"),
    ("k3s.cluster_cidr", ["10.10.0.0/16", "fd42::/56"], "networks 10.10.0.0/16 and 10.10.0.0/24 overlap"),
    ("k3s.settings", {"token": "x"}, "token is written by this project itself; remove it from settings"),
    (
        "gitops.infisical",
        {"host": "https://vault.lan:8443", "project": "a", "environment": "b"},
        "is on a port that kubernetes/policies/operator/allow-api.yaml does not let out; serve it on 443",
    ),
    ("k3s.pin.sha256", "abc", "String should match pattern"),
    ("proxmox.endpoints", ["http://10.0.0.1"], "is no endpoint; write https://ADDRESS:8006"),
    ("proxmox.fingerprint", "12", "is no SHA-256 fingerprint"),
    ("proxmox.ca_file", "ca.pem", "fingerprint and ca_file are both set; keep one of them"),
    ("access.ssh_keys", ["hello"], "is no public SSH key"),
    ("agents.0.data_disks", [{"gib": 1, "mount": "/a/../b"}], "String should match pattern"),
    (
        "agents.0.data_disks",
        [{"gib": 1, "mount": "/a"}, {"gib": 2, "mount": "/a"}],
        "/a is the mount of two disks",
    ),
    ("agents.0.labels", {"a": "b c"}, "is no label; use letters"),
    ("agents.0.first_host", 5, "agent-1: address 10.10.0.5 is Proxmox' own; move first_host"),
    ("network.dns", ["10.10.0.30"], "agent-1: address 10.10.0.30 is a DNS server's; move first_host"),
    ("proxmox.endpoints", ["https://a:8006", "https://b:8006"], "a fingerprint is one node's"),
    ("gitops.repository", "https://me:pw@git.home.arpa/x.git", "holds a password; set credential=True"),
    (
        "machines",
        [{"name": "agent-1", "vmid": 139, "host": 60, "cores": 1, "memory_mib": 512}],
        "name staging-agent-1 is given twice",
    ),
    ("ingress.pool", [30, 40], "host number 30 (10.10.0.0/24) is asked for by agent-1 and ingress.pool"),
    (
        "ingress.pool",
        [250, 260],
        "ingress.pool: host number 255 does not fit 10.10.0.0/24; lower ingress.pool",
    ),
    ("ingress.pool", [1, 9], "ingress.pool: address 10.10.0.1 is the gateway's; move ingress.pool"),
    ("ingress.pool", [9, 1], "pool 9-1 is empty; write the lower number first"),
    ("ingress.pool", [1, 300], "holds more than 256 addresses"),
    ("ingress.domain", "Home", "is no domain; write lower-case labels with dots"),
    ("agents.0.name", "a" * 60, "is longer than 63 characters"),
    ("vmid", 5, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(
    ("path", "value", "said"), REFUSED, ids=[f"{path}={value}" for path, value, _ in REFUSED]
)
def test_a_wrong_value_is_refused_with_its_reason(
    staging: Environment, path: str, value: Any, said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Environment.model_validate(_changed(staging, path, value))
    assert said in str(caught.value)


def test_every_fault_is_one_line_of_place_value_and_fix(staging: Environment) -> None:
    with pytest.raises(ValidationError) as caught:
        Environment.model_validate(_changed(staging, "servers.count", 2))
    assert list(config.fault_lines("bootstrap/config/staging.py", caught.value)) == [
        "bootstrap/config/staging.py: Environment.servers: 2 servers: an even number (or none) gains no quorum; use 3 or 1"
    ]
    with pytest.raises(ValidationError) as caught:
        Environment.model_validate(_changed(staging, "vmid", 5))
    assert list(config.fault_lines("x.py", caught.value)) == [
        "x.py: Environment.vmid is no known key; remove it or correct its spelling"
    ]


def test_an_environment_cannot_be_changed_once_made(staging: Environment) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        staging.protection = True


def test_the_shipped_environments_share_no_vmid_name_or_address() -> None:
    assert config.clashes([config.load(name) for name in config.names()]) == []


def test_two_environments_with_the_same_vmids_are_refused(staging: Environment) -> None:
    twin = staging.model_copy(update={"name": "twin"})
    faults = config.clashes([staging, twin])
    assert faults[0] == "staging.vmids and twin.vmids both hold 120-139; move one range"
    assert (
        "staging and twin both use address 10.10.0.20 and 45 more; move first_host or ingress.pool" in faults
    )
    assert "staging and twin both have ingress.domain k3s.home.arpa; change one" in faults
    assert "staging and staging both name a machine staging-server-1; rename one" in config.clashes(
        [staging, staging]
    )


def test_the_shipped_values_are_refused_by_field_and_file() -> None:
    faults = config.unready(config.load("staging"))
    assert all(fault.startswith("bootstrap/config/site.py: ") for fault in faults)
    fields = {fault.split(": ")[1].split()[0] for fault in faults}
    assert fields == {
        "PROXMOX.endpoints",
        "NETWORK.ipv4.network",
        "NETWORK.ipv6.network",
        "NETWORK.dns",
        "NETWORK.search_domain",
        "DOMAIN",
        "GIT_REPOSITORY",
        "ACCESS.ssh_keys",
    }


def test_a_filled_in_site_is_ready(staging: Environment, production: Environment) -> None:
    assert config.unready(staging) == []
    assert config.unready(production) == []


def test_an_unknown_pin_says_what_to_run(staging: Environment) -> None:
    unknown = staging.model_copy(
        update={
            "k3s": staging.k3s.model_copy(update={"pin": Pin(version="v1", url="https://x", sha256=None)})
        }
    )
    assert config.unready(unknown) == [
        "bootstrap/config/pins.py: K3s's sha256 is None; read sha256sum-amd64.txt of the release that you want"
    ]


def test_an_unknown_environment_lists_those_that_exist() -> None:
    with pytest.raises(
        InvalidEnvironment, match=r"prod: no such environment; there are demo, production, staging"
    ):
        config.load("prod")


def test_staging_is_what_the_old_stack_had() -> None:
    staging = config.load("staging")
    assert (staging.servers.count, [pool.count for pool in staging.agents]) == (1, [2])
    assert staging.vmids == (120, 139)
    assert (staging.servers.first_vmid, staging.agents[0].first_vmid) == (120, 130)
    assert staging.servers.os_disk_gib == 20
    assert [disk.gib for disk in staging.agents[0].data_disks] == [60]
    assert not staging.protection


def test_production_is_spread_and_protected() -> None:
    production = config.load("production")
    assert (production.servers.count, [pool.count for pool in production.agents]) == (3, [3])
    assert production.vmids == (220, 239)
    assert production.protection


def test_only_a_running_lab_gives_the_demo_its_pins() -> None:
    assert build({}).k3s.pin == Pin(version=None, url=None, sha256=None)
    assert config.unready(build({})) == ["demo: no lab is running; type: rzp-bootstrap lab start"]
    stand_in = {"version": "v0-standin", "url": "http://10.77.0.1/k3s", "sha256": "0" * 64}
    assert build({"k3s": stand_in}).k3s.pin.version == "v0-standin"


def test_staging_and_production_can_never_resolve_to_the_stand_in() -> None:
    for name in ("staging", "production"):
        environment = config.load(name)
        for pin in (environment.k3s.pin, environment.gitops.argocd):
            assert pin.url is not None
            assert pin.url.startswith("https://")
            assert "standin" not in f"{pin.version}{pin.url}".replace("-", "")


def test_a_pool_of_zero_agents_is_allowed(staging: Environment) -> None:
    empty: Pool = staging.agents[0].model_copy(update={"count": 0})
    assert (
        Environment.model_validate(staging.model_copy(update={"agents": (empty,)}).model_dump())
        .agents[0]
        .count
        == 0
    )


BROKEN = [
    (
        "site.py",
        'IPv4Network("192.0.2.0/24")',
        'IPv4Network("192.0.2.1/24")',
        "bootstrap/config/site.py:N: ValueError: 192.0.2.1/24 has host bits set",
    ),
    (
        "site.py",
        'IPv6Network("2001:db8::/64")',
        'IPv6Network("2001:db8::/125")',
        "host number 20 does not fit 2001:db8::/125",
    ),
    ("site.py", "PROXMOX = ", "PROXMOX = (", "bootstrap/config/site.py:"),
    (
        "site.py",
        'user="rzp"',
        'user="R Z P"',
        "bootstrap/config/site.py:N: Access.user 'R Z P': is no hostname",
    ),
    (
        "staging.py",
        "count=2,",
        "count=12,",
        "bootstrap/config/staging.py:N: agent.count 12 from VMID 130 does not fit VMIDs 120-139",
    ),
    (
        "pins.py",
        "K3S = ",
        "K3S = nope or ",
        "bootstrap/config/pins.py:N: NameError: name 'nope' is not defined",
    ),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"), BROKEN, ids=[f"{case[0]}: {case[2]}" for case in BROKEN]
)
def test_a_typo_in_a_configuration_file_names_the_file_and_the_line(
    checkout: Path, tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    shutil.copytree(
        checkout / "bootstrap", tmp_path / "bootstrap", ignore=shutil.ignore_patterns("lab", "__pycache__")
    )
    edited = tmp_path / "bootstrap" / "config" / file
    assert old in edited.read_text()
    edited.write_text(edited.read_text().replace(old, new))

    code = "from bootstrap import config; from bootstrap.errors import RzpError\ntry: config.load('staging')\nexcept RzpError as e: print(e)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert said in re.sub(r"\.py:\d+: ", ".py:N: ", ran.stdout), ran.stdout + ran.stderr
    assert ran.stderr == ""


def test_two_checkouts_have_two_labs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert re.fullmatch(r"/state/rzp-infra/lab-[0-9a-f]{8}", str(lab_folder()))
    monkeypatch.setenv("RZP_LAB_DIR", "/elsewhere")
    assert lab_folder() == Path("/elsewhere")


def test_space_around_a_text_is_no_part_of_it_because_proxmox_cuts_it_off(staging: Environment) -> None:
    pool = Pool.model_validate({**staging.agents[0].model_dump(), "description": "Storage\n"})

    assert pool.description == "Storage"
