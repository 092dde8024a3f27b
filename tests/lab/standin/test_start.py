"""How one machine starts: configuration, tokens, modes, what it writes."""

from __future__ import annotations

import signal
import stat
from typing import Any

import pytest

from bootstrap.lab.standin.k3s.tokens import ca_hash

MALFORMED = (
    "failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"
)
NOWHERE = "https://127.0.0.1:9"
FATAL: dict[str, tuple[str, dict[str, Any], str]] = {
    "a bootstrap token": ("abcdef.0123456789abcdef", {}, MALFORMED),
    "a broken secure token": ("K10abc::server:pw", {}, MALFORMED),
    "two colons without a hash": ("server::pw", {}, MALFORMED),
    "neither founding nor joining": ("pw", {"cluster_init": False}, "a server on SQLite is not imitated"),
    "one address family of two": (
        "pw",
        {"cluster_cidr": "10.42.0.0/16,fd42::/56"},
        "cluster-cidr and node-ip must share the same IP version (IPv4, IPv6 or dual-stack)",
    ),
    "an unreachable server": ("pw", {"server": NOWHERE}, "failed to get CA certs"),
    "an external datastore": ("pw", {"datastore_endpoint": "x"}, "datastore-endpoint is not imitated"),
}


@pytest.mark.parametrize("case", FATAL)
def test_a_server_refuses(machine: Any, case: str) -> None:
    token, values, text = FATAL[case]
    one = machine("s1", **({"cluster_init": True} | values))
    one.token = token

    assert "level=fatal" in one.fails()
    assert text in one.log
    assert not (one.server / "db/etcd/member").exists()


def test_a_token_that_others_can_read_is_refused(machine: Any) -> None:
    one = machine("s1", token="pw", token_file="")
    one.configure("server")
    (one.root / "etc/rancher/k3s/config.yaml").chmod(0o644)

    assert "has mode 0644, a token needs 0600" in one.fails()


def test_a_joiner_that_pins_another_ca_ends_with_both_hashes(machine: Any, lone: Any) -> None:
    one = machine("s2", server=lone.url)
    right = ca_hash((lone.server / "tls/server-ca.crt").read_text())
    one.token = f"K10{'0' * 64}::server:{lone.token}"

    text = f"token CA hash does not match the Cluster CA certificate hash: {'0' * 64} != {right}"
    assert text in one.fails()


def test_a_wrong_token_is_401_and_a_short_one_warns(machine: Any, lone: Any) -> None:
    one = machine("s2", server=lone.url)
    one.token = "wrong"

    log = one.fails()
    assert "token is not valid: " in log
    assert "401 Unauthorized" in log
    assert "the token does not include a CA hash" in log


def test_another_token_does_not_open_existing_data(machine: Any) -> None:
    one = machine("s1", cluster_init=True)
    one.start()
    one.stop()
    one.token = "another"

    assert "bootstrap data already found and encrypted with different token" in one.fails()


def test_unknown_keys_are_skipped_with_a_warning_and_drop_ins_are_merged(machine: Any) -> None:
    one = machine("s1", cluster_init=True, kublet_arg=["x"], node_label=["a=1"])
    drop_in = one.root / "etc/rancher/k3s/config.yaml.d/10-more.yaml"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("node-label+: [b=2]\nwrite-kubeconfig-mode: '0640'\n")
    one.start()
    labels = one.json("node", "s1")["metadata"]["labels"]

    assert 'level=warning msg="Unknown flag --kublet-arg found in config.yaml, skipping"' in one.log
    assert (labels["a"], labels["b"]) == ("1", "2")
    assert stat.S_IMODE((one.root / "etc/rancher/k3s/k3s.yaml").stat().st_mode) == 0o640
    assert "stand-in" in one.log.splitlines()[0]


def test_a_server_writes_its_files_with_the_modes_of_k3s(lone: Any) -> None:
    modes = {
        "": 0o700,
        "token": 0o600,
        "tls/server-ca.key": 0o600,
        "../../../../../etc/rancher/k3s/k3s.yaml": 0o600,
    }
    found = {name: stat.S_IMODE((lone.server / name).stat().st_mode) for name in modes}
    digest = ca_hash((lone.server / "tls/server-ca.crt").read_text())

    assert found == modes
    assert (lone.server / "token").read_text() == f"K10{digest}::server:{lone.token}\n"
    assert (lone.server / "node-token").readlink().name == "token"
    assert (lone.server / "db/etcd/member").is_dir()


def test_a_restart_keeps_state_and_kubeconfig(machine: Any) -> None:
    one = machine("s1", cluster_init=True)
    one.start()
    kubeconfig = one.root / "etc/rancher/k3s/k3s.yaml"
    one.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}})
    before = kubeconfig.read_text(), one.json("namespace", "kept"), one.json("node", "s1")["metadata"]
    one.stop(signal.SIGKILL)
    one.start()

    assert (
        kubeconfig.read_text(),
        one.json("namespace", "kept"),
        one.json("node", "s1")["metadata"],
    ) == before
