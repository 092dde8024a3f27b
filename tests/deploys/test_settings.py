"""The door: what group data is accepted, and the one line that a fault gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploys.keys import AGENT, OWN, SERVER
from deploys.settings import Settings, SettingsError

Change = Callable[[dict[str, Any]], Any]

FAULTS: dict[str, tuple[Change, str]] = {
    "an unknown pin": (
        lambda rzp: rzp["k3s"].update(sha256=None),
        "rzp.k3s.sha256: the pin or value is not known (None)",
    ),
    "a mistyped key of K3s": (
        lambda rzp: rzp["k3s"]["settings"].update({"kublet-arg": ["a=b"]}),
        "kublet-arg: K3s has no such key and would skip it with a warning; did you mean kubelet-arg?",
    ),
    "a key that the deploy writes": (
        lambda rzp: rzp["k3s"]["settings"].update({"token": "x"}),
        "token: this key is written by the deploy itself; remove it here",
    ),
    "an unknown field": (lambda rzp: rzp.update(more=1), "rzp.more: Extra inputs are not permitted"),
    "no server": (
        lambda rzp: [rzp["nodes"].pop(name) for name in ("s1", "s2", "s3")],
        "nodes: none of them has the role server",
    ),
    "an address that is none": (
        lambda rzp: rzp["nodes"]["s1"].update(addresses=["192.0.2.300"]),
        "rzp.nodes.s1.addresses.0",
    ),
    "a file system that is not made": (
        lambda rzp: rzp["nodes"]["a1"]["data_disks"][0].update(filesystem="xfs"),
        "rzp.nodes.a1.data_disks.0.filesystem",
    ),
    "a disk mounted nowhere": (
        lambda rzp: rzp["nodes"]["a1"]["data_disks"][0].update(mount="relative"),
        "rzp.nodes.a1.data_disks.0.mount",
    ),
}


@pytest.mark.parametrize(("change", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_group_data_is_one_line_with_its_place(
    rzp: dict[str, Any], change: Change, words: str
) -> None:
    change(rzp)
    with pytest.raises(SettingsError) as raised:
        Settings.parse(rzp)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_servers_keep_the_order_of_the_environment(settings: Settings) -> None:
    assert settings.servers == ("s1", "s2", "s3")
    assert settings.first_server == "s1"


def test_a_node_without_an_address_of_each_family_of_the_cluster_is_refused(rzp: dict[str, Any]) -> None:
    rzp["nodes"]["a1"]["addresses"] = ["192.0.2.30"]
    with pytest.raises(SettingsError, match=r"rzp\.nodes\.a1\.addresses: 192\.0\.2\.30 lack a family"):
        Settings.parse(rzp).node_ips("a1")


def test_an_address_of_ipv6_stands_in_brackets(rzp: dict[str, Any]) -> None:
    rzp["k3s"] |= {"cluster_cidr": ["fd42::/56"], "service_cidr": ["fd43::/112"]}
    assert Settings.parse(rzp).url("s1") == "https://[2001:db8::20]:6443"


def test_own_keys_and_free_keys_do_not_overlap() -> None:
    assert not OWN & SERVER
    assert AGENT < SERVER


def test_what_an_older_inventory_does_not_say_has_a_default(settings: Settings, rzp: dict[str, Any]) -> None:
    assert (settings.gitops.infisical, settings.gitops.left_out) == (False, ())
    del rzp["components"]
    assert Settings.parse(rzp).components == ()
    rzp["gitops"] |= {"infisical": True, "left_out": ["core/longhorn: no pin"]}
    told = Settings.parse(rzp | {"components": ["argocd", "cert-manager"]})
    assert told.components == ("argocd", "cert-manager")
    assert told.gitops.left_out == ("core/longhorn: no pin",)
