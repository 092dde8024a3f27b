"""How servers come to one cluster: who founds it, who joins, and whose CA is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyinfra.api.command import FunctionCommand, PyinfraCommand

from bootstrap.secrets import Secret
from deploys import k3s_files, paths
from deploys.facts.node import Node, NodeState
from deploys.facts.node import parse as parse_node
from deploys.operations import k3s, node
from deploys.settings import Settings
from deploys.token import short

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


def test_the_first_server_founds_with_the_password_and_the_others_pin_its_ca(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    fresh["s1"].state.is_executing = False
    assert carry_out(fresh["s2"], k3s.server, settings=settings, token=password), "planned"
    fresh["s1"].state.is_executing = True
    (failed,) = carry_out(fresh["s2"], k3s.server, settings=settings, token=password)
    assert isinstance(failed, FunctionCommand)
    assert "s1 founds it" in fresh["s2"].logs[-1]
    texts = [
        c.connector_arguments.get("_stdin")
        for c in carry_out(fresh["s1"], k3s.server, settings=settings, token=password)
    ]
    assert f"{password.reveal()}\n" in texts
    assert any("cluster-init: true" in text for text in texts if text)


def test_a_rebuilt_first_server_joins_and_pins_the_ca(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    ca = machines["s2"].answers[NodeState]().sha256(paths.SERVER_CA)
    machines["s1"].answers = {NodeState: lambda: Node(read=True)}
    commands = carry_out(machines["s1"], k3s.server, settings=settings, token=password)
    texts = [str(command.connector_arguments.get("_stdin")) for command in commands]
    assert f"K10{ca}::server:{password.reveal()}\n" in texts
    assert any("server: https://192.0.2.21:6443" in text for text in texts)
    assert not any("cluster-init" in text for text in texts)


def test_nothing_is_founded_while_a_listed_server_does_not_answer(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    fresh["s3"].connected = False
    (failed,) = carry_out(fresh["s1"], k3s.server, settings=settings, token=password)
    assert isinstance(failed, FunctionCommand)
    assert "s3 cannot be asked whether there is a cluster already" in fresh["s1"].logs[-1]


def test_nothing_is_founded_while_a_listed_server_answers_but_cannot_be_read(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    """The fact of a host whose command fails is its default: that is no empty server. Nor is it remembered."""
    answers = fresh["s2"].answers
    fresh["s2"].answers = {NodeState: Node}
    (failed,) = carry_out(fresh["s1"], k3s.server, settings=settings, token=password)
    assert isinstance(failed, FunctionCommand)
    assert "s2 cannot be asked whether there is a cluster already" in fresh["s1"].logs[-1]
    fresh["s2"].answers = answers
    assert node.state_of(settings, fresh["s2"]).read


def test_a_server_is_read_anew_before_a_cluster_is_founded(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry, lines_of: Any
) -> None:
    """It was empty when this run began."""
    assert not node.state_of(settings, fresh["s2"]).member
    fresh["s2"].answers = {NodeState: lambda: parse_node(lines_of["node"](settings, "s2"))}
    texts = [
        str(c.connector_arguments.get("_stdin"))
        for c in carry_out(fresh["s1"], k3s.server, settings=settings, token=password)
    ]
    assert any("server: https://192.0.2.21:6443" in text for text in texts)
    assert not any("cluster-init" in text for text in texts)


def test_an_agent_needs_only_one_server_that_answers(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machines["s1"].connected = False
    assert carry_out(machines["a1"], k3s.agent, settings=settings, token=password) == []


def _just_founded(machine: Any, settings: Settings, token: Secret) -> None:
    """It holds data, and runs with the short token and the drop-in that founded."""
    drop_in, found = k3s_files.founding(settings, "s1"), machine.answers[NodeState]()
    started = found.text(paths.K3S_STARTED).replace(found.sha256(paths.K3S_TOKEN), short(token).sha256)
    machine.change_file(paths.K3S_STARTED, text=started)
    machine.change_file(paths.K3S_TOKEN, sha256=short(token).sha256)
    machine.change_file(paths.K3S_FIRST_START, sha256=drop_in.sha256, text=drop_in.text)


def test_the_founding_server_pins_its_own_ca_once_there_is_one(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine = machines["s1"]
    _just_founded(machine, settings, password)
    ca = machine.answers[NodeState]().sha256(paths.SERVER_CA)
    assert carry_out(machine, k3s.server, settings=settings, token=password) == []
    commands = carry_out(machine, k3s.rejoining, settings=settings, token=password)
    drop_in, token = (str(command.connector_arguments["_stdin"]) for command in commands)
    assert "server: https://192.0.2.21:6443" in drop_in
    assert token == f"K10{ca}::server:{password.reveal()}\n"
