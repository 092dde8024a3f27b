"""The operations that install and run K3s: when it is restarted, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from bootstrap.secrets import Secret
from deploys import paths
from deploys.facts.node import Node, NodeState, Unit
from deploys.operations import k3s
from deploys.settings import Settings
from deploys.token import short

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


def test_a_wrong_binary_is_replaced_and_the_restart_is_planned_with_it(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s2"]
    machine.state.is_executing = False
    machine.change_file(paths.K3S_BINARY, sha256="0" * 64)
    started = machine.answers[NodeState]().text(paths.K3S_STARTED).replace("8" * 64, "0" * 64)
    machine.change_file(paths.K3S_STARTED, text=started)
    assert "curl" in texts(carry_out(machine, k3s.binary, settings=settings))
    assert "restart --no-block k3s.service" in texts(
        carry_out(machine, k3s.server, settings=settings, token=password)
    )


def test_an_edit_by_hand_is_undone_without_a_restart(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s2"]
    machine.change_file(paths.K3S_CONFIG, sha256="0" * 64, text="edited")
    text = texts(carry_out(machine, k3s.server, settings=settings, token=password))
    assert paths.K3S_CONFIG in text
    assert "restart" not in text


def test_an_edit_of_the_environment_is_shown_and_restarts(
    machines: Machines,
    password: Secret,
    rzp: dict[str, Any],
    carry_out: Carry,
    texts: Texts,
) -> None:
    machine = machines["s2"]
    machine.state.DIFF = True
    rzp["k3s"]["tls_san"] = ["k3s.example"]
    text = texts(carry_out(machine, k3s.server, settings=Settings.parse(rzp), token=password))
    assert "restart --no-block k3s.service" in text
    assert "  +tls-san:" in machine.logs
    assert password.reveal() not in "\n".join([*machine.logs, *machine.shell, text])


def test_an_interrupted_change_is_taken_up_again(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, texts: Texts
) -> None:
    """Files written, restart missed: what runs was started with something else."""
    machine = machines["a1"]
    started = machine.answers[NodeState]().text(paths.K3S_STARTED).replace("8" * 64, "0" * 64)
    machine.change_file(paths.K3S_STARTED, text=started)
    commands = carry_out(machine, k3s.agent, settings=settings, token=password)
    assert "restart --no-block k3s-agent.service" in texts(commands[:1])


@pytest.mark.parametrize(
    "state", [Unit(active="activating", file="enabled"), Unit(queued=True, file="enabled")]
)
def test_a_unit_that_is_starting_at_boot_is_waited_for_and_not_restarted(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, lines_of: Any, state: Unit
) -> None:
    machine = machines["s1"]
    found = machine.answers[NodeState]()
    files = {path: file for path, file in found.files.items() if path != paths.K3S_STARTED}
    machine.change(files=files, units={**found.units, "k3s.service": state})
    machine.replies = {
        "ActiveState,NRestarts": ["ActiveState=active"],
        "readyz": lines_of["cluster"](settings),
    }
    assert carry_out(machine, k3s.server, settings=settings, token=password) == []


@pytest.mark.parametrize(
    "operation", [k3s.server, k3s.agent, k3s.rejoining], ids=["server", "agent", "rejoining"]
)
def test_nothing_is_done_to_the_k3s_of_a_host_that_could_not_be_read(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, operation: Any
) -> None:
    machine = machines["a1" if operation is k3s.agent else "s1"]
    machine.answers = {NodeState: Node}
    (failed,) = carry_out(machine, operation, settings=settings, token=password)
    assert isinstance(failed, FunctionCommand)
    assert "could not be read, so nothing is done to its K3s" in machine.logs[-1]


def test_that_the_founder_runs_with_the_short_token_is_no_reason_for_a_restart(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine = machines["s1"]
    found = machine.answers[NodeState]()
    started = found.text(paths.K3S_STARTED).replace(found.sha256(paths.K3S_TOKEN), short(password).sha256)
    machine.change_file(paths.K3S_STARTED, text=started)
    for operation in (k3s.server, k3s.rejoining):
        assert carry_out(machine, operation, settings=settings, token=password) == []


def test_another_password_is_a_reason_for_a_restart(
    machines: Machines, settings: Settings, carry_out: Carry, texts: Texts
) -> None:
    other = Secret("another-password-than-before")
    text = texts(carry_out(machines["s1"], k3s.server, settings=settings, token=other))
    assert "restart --no-block k3s.service" in text


def test_a_server_that_does_not_become_ready_fails_with_the_journal_and_a_masked_token(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine = fresh["s1"]
    machine.replies = {
        "ActiveState,NRestarts": ["ActiveState=activating", "NRestarts=1"],
        "journalctl": [
            f"fatal: {password.reveal()} is wrong",
            "etcd cluster join failed: duplicate node name found",
        ],
    }
    carry_out(machine, k3s.server, settings=settings, token=password)
    assert machine.logs[-1] == "s1 to be a working server: not within 0 s; k3s.service is activating"
    evidence = "\n".join(machine.logs)
    assert "fatal: *** is wrong" in evidence
    assert "known: duplicate node name found: the server was rebuilt" in evidence
    assert password.reveal() not in evidence


def test_a_unit_that_ends_again_and_again_is_not_waited_for(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine, counts = fresh["s1"], iter([31, 40, 51])

    class Replies(dict[str, list[str]]):
        def items(self) -> Any:
            return [("NRestarts", ["ActiveState=activating", f"NRestarts={next(counts, 51)}"])]

    machine.replies = Replies()
    carry_out(machine, k3s.server, settings=settings, token=password, seconds=1)
    assert "k3s.service ends again and again (20 times)" in machine.logs[-1]


def test_what_an_earlier_run_saw_fail_is_waited_for_again(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine = fresh["s1"]
    machine.replies = {"ActiveState,NRestarts": ["ActiveState=activating", "NRestarts=31"]}
    carry_out(machine, k3s.server, settings=settings, token=password)
    assert "not within 0 s; k3s.service is activating" in machine.logs[-1]


def test_an_agent_needs_a_server_whose_ca_it_can_pin(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    carry_out(fresh["a1"], k3s.agent, settings=settings, token=password)
    assert "a1: no server that answers has a CA to pin; deploy to s1 first" in fresh["a1"].logs[-1]


def test_what_waits_on_a_host_has_its_limit_on_the_host_too(
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    carry_out(fresh["s1"], k3s.server, settings=settings, token=password)
    assert fresh["s1"].shell
    assert all(command.startswith("timeout ") for command in fresh["s1"].shell)
