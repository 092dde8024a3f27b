"""A site of the tests' own: staging and production with addresses that no documentation uses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from bootstrap import config
from bootstrap.config.base import Environment
from bootstrap.config.model import Access, Network, Proxmox, Subnet4, Subnet6

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDA5k5xBgVvLrQ1ZlqmMBxOsQq3XrY0l6w4V2mV3x9aB operator@desk"


def _on_test_site(environment: Environment) -> Environment:
    return environment.model_copy(
        update={
            "proxmox": Proxmox(
                endpoints=("https://10.10.0.5:8006",),
                nodes=environment.proxmox.nodes,
                fingerprint=":".join(["AB"] * 32),
                disk_storage="vmdata",
            ),
            "network": Network(
                ipv4=Subnet4(network=IPv4Network("10.10.0.0/24"), gateway=IPv4Address("10.10.0.1")),
                ipv6=Subnet6(network=IPv6Network("fd10:10::/64"), gateway=IPv6Address("fd10:10::1")),
                dns=(IPv4Address("10.10.0.1"),),
                search_domain="home.arpa",
            ),
            "access": Access(ssh_keys=(KEY,)),
            "gitops": environment.gitops.model_copy(
                update={"repository": "https://git.home.arpa/me/rzp-infra.git"}
            ),
        }
    )


@pytest.fixture
def staging() -> Environment:
    """Staging on the tests' site."""
    return _on_test_site(config.load("staging"))


@pytest.fixture
def production() -> Environment:
    """Production on the tests' site."""
    return _on_test_site(config.load("production"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty checkout."""
    for folder in ("deploys", "inventories/secrets", "files"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path
