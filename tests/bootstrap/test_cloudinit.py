"""The NoCloud seed: what cloud-init will read, and that nothing secret shows by accident."""

from __future__ import annotations

import io
from typing import Any

import pycdlib
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from bootstrap import cloudinit, hostkeys
from bootstrap.cluster import K3sCluster
from bootstrap.config.base import Environment
from bootstrap.secrets import Secret

SEED = Secret("host key seed of the tests")
KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDA5k5xBgVvLrQ1ZlqmMBxOsQq3XrY0l6w4V2mV3x9aB 'quotes' & more",)


@pytest.fixture
def seed(staging: Environment) -> cloudinit.Seed:
    return cloudinit.seed(K3sCluster(staging).machines[1], staging, ssh_keys=KEYS, host_key_seed=SEED)


def _user_data(seed: cloudinit.Seed) -> dict[str, Any]:
    text = seed.user_data.reveal()
    assert text.startswith("#cloud-config\n")
    return dict(yaml.safe_load(text))


def test_user_data_makes_the_admin_and_its_own_host_key(seed: cloudinit.Seed, staging: Environment) -> None:
    data = _user_data(seed)
    machine = K3sCluster(staging).machines[1]

    assert data["hostname"] == "staging-agent-1"
    assert data["fqdn"] == "staging-agent-1.home.arpa"
    assert data["users"][0]["ssh_authorized_keys"] == list(KEYS)
    assert data["ssh_keys"]["ed25519_public"] == hostkeys.public(SEED, machine.uuid)
    private = load_ssh_private_key(data["ssh_keys"]["ed25519_private"].encode(), None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert public == hostkeys.public(SEED, machine.uuid)


def test_the_marker_is_written_so_that_the_machine_outlives_its_seed(seed: cloudinit.Seed) -> None:
    assert [file["path"] for file in _user_data(seed)["write_files"]] == [
        "/var/lib/cloud/instance/manual-clean"
    ]


def test_the_instance_id_is_the_smbios_uuid(seed: cloudinit.Seed, staging: Environment) -> None:
    machine = K3sCluster(staging).machines[1]

    assert yaml.safe_load(seed.meta_data) == {
        "instance-id": str(machine.uuid),
        "local-hostname": "staging-agent-1",
    }


def test_the_network_is_static_and_has_name_servers(seed: cloudinit.Seed) -> None:
    network = yaml.safe_load(seed.network_config)["ethernets"]["primary"]

    assert network["addresses"] == ["10.10.0.30/24", "fd10:10::30/64"]
    assert network["routes"] == [
        {"to": "default", "via": "10.10.0.1"},
        {"to": "default", "via": "fd10:10::1"},
    ]
    assert network["nameservers"] == {"addresses": ["10.10.0.1"], "search": ["home.arpa"]}
    assert network["match"] == {"macaddress": "bc:24:11:9e:08:5c"}
    assert (network["dhcp4"], network["dhcp6"]) == (False, False)


def test_the_iso_is_labelled_cidata_and_holds_the_three_files(seed: cloudinit.Seed) -> None:
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seed.iso()))
    held = {}
    for name in ("user-data", "meta-data", "network-config"):
        out = io.BytesIO()
        image.get_file_from_iso_fp(out, joliet_path=f"/{name}")
        held[name] = out.getvalue().decode()
    label = image.pvd.volume_identifier.decode().strip()
    image.close()

    assert label == "cidata"
    assert held == {
        "user-data": seed.user_data.reveal(),
        "meta-data": seed.meta_data,
        "network-config": seed.network_config,
    }


def test_a_seed_prints_without_its_host_key(seed: cloudinit.Seed) -> None:
    assert "PRIVATE KEY" not in repr(seed)


def test_host_keys_follow_from_seed_and_machine_alone(staging: Environment) -> None:
    one, two, _ = K3sCluster(staging).machines

    assert hostkeys.public(SEED, one.uuid) == hostkeys.public(SEED, one.uuid)
    assert hostkeys.public(SEED, one.uuid) != hostkeys.public(SEED, two.uuid)
    assert hostkeys.public(SEED, one.uuid) != hostkeys.public(Secret("another"), one.uuid)
