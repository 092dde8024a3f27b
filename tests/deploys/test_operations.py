"""The operations: what they do on a fresh host, that they do nothing on a converged one, and how they fail."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand

from bootstrap.secrets import Secret
from deploys import k3s_files, kubeconfig, paths, running, system
from deploys.facts.argocd import ArgoCD, ArgoCDState
from deploys.facts.cluster import ClusterState, parse
from deploys.facts.memo import recall
from deploys.facts.node import FileState, Node, NodeState, Unit
from deploys.facts.node import parse as parse_node
from deploys.operations import argocd, cluster, disks, k3s, node
from deploys.settings import Settings
from deploys.token import short

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PAUSE", 0)
    for module in (k3s, cluster):
        monkeypatch.setattr(module, "READY_SECONDS", 0)
    monkeypatch.setattr(argocd, "AVAILABLE_SECONDS", 0)
    monkeypatch.setattr(node, "CLOUD_INIT_SECONDS", 0)


def _change(machine: Any, **fields: Any) -> None:
    """The machine answers as before, but for these fields."""
    before = machine.answers[NodeState]
    machine.answers[NodeState] = lambda: dataclasses.replace(before(), **fields)


def _file(machine: Any, path: str, **fields: Any) -> None:
    found = machine.answers[NodeState]()
    changed = dataclasses.replace(found.files[path], **fields)
    _change(machine, files={**found.files, path: changed})


def _steps(settings: Settings, token: Secret, name: str, tmp_path: Path) -> list[tuple[Any, dict[str, Any]]]:
    """Every operation of deploys/k3s.py for one host, in its order."""
    me = settings.nodes[name]
    target = tmp_path / "kubeconfig"
    steps: list[tuple[Any, dict[str, Any]]] = [
        (node.first_boot, {}),
        (node.packages, {"names": system.node_packages(settings)}),
        (node.guest_agent, {}),
        (disks.root_grown, {}),
        (node.modules, {}),
        (node.sysctls, {}),
        (node.swap_off, {}),
        (node.iscsid, {}),
        *((disks.mounted, {"disk": disk}) for disk in me.data_disks),
        *((disks.grown, {"disk": disk}) for disk in me.data_disks),
        (k3s.binary, {}),
        (k3s.server if me.role == "server" else k3s.agent, {"token": token}),
        *([(k3s.rejoining, {"token": token})] if me.role == "server" else []),
    ]
    if name == settings.first_server:
        steps += [
            (cluster.ready, {}),
            (cluster.labels_and_taints, {}),
            (cluster.kubeconfig, {"target": target}),
        ]
        steps += [(argocd.revision_exists, {}), (argocd.installed, {}), (argocd.repository_credential, {})]
        steps += [(argocd.projects, {}), (argocd.handed_over, {})]
    return steps


@pytest.mark.parametrize("executing", [False, True], ids=["planning", "executing"])
def test_on_a_converged_cluster_every_operation_says_why_it_does_nothing(
    machines: Machines,
    settings: Settings,
    password: Secret,
    carry_out: Carry,
    tmp_path: Path,
    executing: bool,
    admin: str,
) -> None:
    machines["s1"].state.is_executing = executing
    kubeconfig.write(tmp_path / "kubeconfig", settings, admin)
    for name, machine in machines.items():
        steps = _steps(settings, password, name, tmp_path)
        for operation, arguments in steps:
            assert carry_out(machine, operation, settings=settings, **arguments) == [], operation
        assert len(machine.noops) == len(steps)
    asked = {name: machine.asked for name, machine in machines.items()}
    assert asked.pop("s1") == ["NodeState", "ClusterState", "ArgoCDState"]
    assert all(facts == ["NodeState"] for facts in asked.values())


def test_what_was_known_is_forgotten_after_a_change_and_between_the_phases(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["a1"]
    _change(machine, modules=frozenset())
    machine.state.is_executing = False
    assert len(carry_out(machine, node.modules, settings=settings)) == 1
    assert len(carry_out(machine, node.sysctls, settings=settings)) == 0
    assert machine.asked == ["NodeState"]
    machine.state.is_executing = True
    loaded = carry_out(machine, node.modules, settings=settings)
    assert len(loaded) == len(system.modules(settings))
    carry_out(machine, node.sysctls, settings=settings)
    assert machine.asked == ["NodeState"] * 3


# --- first boot


def _boot(machine: Any, result: bool, **stage: Any) -> None:
    files = {
        paths.CLOUD_INIT_STATUS: FileState(0o644, "root", "", json.dumps({"v1": {"modules-final": stage}}))
    }
    if result:
        files[paths.CLOUD_INIT_RESULT] = FileState(0o644, "root", "", "{}")
    machine.answers = {NodeState: lambda: Node(cloud_init=True, files=files)}


def test_a_degraded_first_boot_goes_on_with_the_modules_message(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    _boot(machine, True, errors=[], recoverable_errors={"WARNING": ["ntp failed"], "DEPRECATED": ["old key"]})
    assert carry_out(machine, node.first_boot, settings=settings) == []
    assert machine.logs == ["cloud-init is done, but degraded: modules-final: WARNING: ntp failed"]


def test_a_failed_first_boot_shows_the_log_and_fails(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    machine.replies = {"cloud-init-output.log": ["Traceback: it broke"]}
    _boot(machine, True, errors=["('users', KeyError('x'))"])
    assert len(carry_out(machine, node.first_boot, settings=settings)) == 1
    assert machine.logs[0].strip() == "Traceback: it broke"
    assert "the first boot failed: modules-final: ('users', KeyError('x'))" in machine.logs[-1]


def test_a_first_boot_that_does_not_end_is_waited_for_with_a_limit(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    _boot(machine, False)
    machine.state.is_executing = False
    assert carry_out(machine, node.first_boot, settings=settings) == [], "a wait is no change"
    machine.state.is_executing = True
    assert len(carry_out(machine, node.first_boot, settings=settings)) == 1
    assert "the first boot: not within 0 s; cloud-init is still at work" in machine.logs[-1]


# --- the operating system


LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 17 (apt-get)"
APT = """#!/bin/sh
echo "$*" >> calls
case $(wc -l < calls) in {fails}) echo '{said}' >&2; exit 100;; esac
"""


def _apt(
    machine: Any, settings: Settings, carry_out: Carry, folder: Path, **fake: str
) -> tuple[int, str, str]:
    """Install with an apt-get that fails at its calls `fails`, and a clock of its own: status, calls, stderr."""
    ticking = "#!/bin/sh\necho x >> ticks; echo $(($(wc -l < ticks) * 60))\n"
    for name, text in {"apt-get": APT.format(**fake), "sleep": "#!/bin/sh\n", "date": ticking}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    _change(machine, packages=frozenset({"curl"}))
    (command,) = carry_out(machine, node.packages, settings=settings, names=("curl", "iptables"))
    assert str(command).startswith("timeout 900 sh -c")
    done = subprocess.run(
        ["sh", "-c", command.get_raw_value()],  # type: ignore[attr-defined]
        cwd=folder,
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, (folder / "calls").read_text(), done.stderr


def test_packages_are_installed_only_when_missing(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path
) -> None:
    status, calls, _ = _apt(machines["s1"], settings, carry_out, tmp_path, fails="0", said="")
    assert (status, calls) == (0, "-q -y install --no-install-recommends iptables\n")


def test_the_lock_of_the_package_lists_is_waited_for(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path
) -> None:
    """The first call is the installation from old lists, then others hold the lock twice."""
    fake = {"fails": "1|2|3", "said": LOCKED}
    status, calls, _ = _apt(machines["s1"], settings, carry_out, tmp_path, **fake)
    assert status == 0
    assert [line.split()[2] for line in calls.splitlines()] == ["install"] * 4
    (tmp_path / "calls").unlink()
    (tmp_path / "ticks").unlink()
    fake = {"fails": "1) echo stale >&2; exit 100;; 2|3", "said": LOCKED}
    status, calls, _ = _apt(machines["s1"], settings, carry_out, tmp_path, **fake)
    assert status == 0
    assert [line.split()[2] for line in calls.splitlines()] == ["install", *["update"] * 3, "install"]


def test_a_lock_that_stays_is_given_up_with_its_holder_and_another_fault_at_once(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path
) -> None:
    status, calls, said = _apt(machines["s1"], settings, carry_out, tmp_path, fails="*", said=LOCKED)
    assert status == 1
    assert len(calls.splitlines()) < 10
    assert "held by process 17 (apt-get)" in said
    for name in ("calls", "ticks"):
        (tmp_path / name).unlink()
    status, calls, said = _apt(machines["s1"], settings, carry_out, tmp_path, fails="*", said="E: broken")
    assert (status, len(calls.splitlines())) == (1, 2)
    assert "E: broken" in said


def test_the_guest_agent_is_started_only_where_it_has_a_port(
    machines: Machines, settings: Settings, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s1"]
    _change(machine, exists=frozenset({paths.GUEST_AGENT_PORT, paths.ETCD_MEMBER}))
    assert "systemctl start qemu-guest-agent" in texts(
        carry_out(machine, node.guest_agent, settings=settings)
    )


def test_a_kernel_that_does_not_take_a_setting_is_a_failure(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    _change(machine, sysctls={"net.ipv4.ip_forward": "0"})
    command, failed = carry_out(machine, node.sysctls, settings=settings)
    assert str(command) == f"sysctl -q -p {paths.SYSCTL}"
    assert isinstance(failed, FunctionCommand)
    assert "the kernel did not take net.ipv4.ip_forward" in machine.logs[-1]


def test_swap_is_turned_off_for_now_and_for_every_boot(
    machines: Machines, settings: Settings, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s1"]
    _change(machine, swaps=("/swapfile",))
    text = texts(carry_out(machine, node.swap_off, settings=settings))
    assert "mask swap.target && swapoff -a" in text
    assert "/etc/fstab" in text


# --- K3s


def test_a_wrong_binary_is_replaced_and_the_restart_is_planned_with_it(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s2"]
    machine.state.is_executing = False
    _file(machine, paths.K3S_BINARY, sha256="0" * 64)
    started = machine.answers[NodeState]().text(paths.K3S_STARTED).replace("8" * 64, "0" * 64)
    _file(machine, paths.K3S_STARTED, text=started)
    assert "curl" in texts(carry_out(machine, k3s.binary, settings=settings))
    assert "restart --no-block k3s.service" in texts(
        carry_out(machine, k3s.server, settings=settings, token=password)
    )


def test_an_edit_by_hand_is_undone_without_a_restart(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s2"]
    _file(machine, paths.K3S_CONFIG, sha256="0" * 64, text="edited")
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
    _file(machine, paths.K3S_STARTED, text=started)
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
    _change(machine, files=files, units={**found.units, "k3s.service": state})
    machine.replies = {
        "ActiveState,NRestarts": ["ActiveState=active"],
        "readyz": lines_of["cluster"](settings),
    }
    assert carry_out(machine, k3s.server, settings=settings, token=password) == []


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


def test_an_agent_needs_only_one_server_that_answers(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machines["s1"].connected = False
    assert carry_out(machines["a1"], k3s.agent, settings=settings, token=password) == []


# --- the founder's token


def _just_founded(machine: Any, settings: Settings, token: Secret) -> None:
    """It holds data, and runs with the short token and the drop-in that founded."""
    drop_in, found = k3s_files.founding(settings, "s1"), machine.answers[NodeState]()
    started = found.text(paths.K3S_STARTED).replace(found.sha256(paths.K3S_TOKEN), short(token).sha256)
    _file(machine, paths.K3S_STARTED, text=started)
    _file(machine, paths.K3S_TOKEN, sha256=short(token).sha256)
    _file(machine, paths.K3S_FIRST_START, sha256=drop_in.sha256, text=drop_in.text)


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


def test_that_the_founder_runs_with_the_short_token_is_no_reason_for_a_restart(
    machines: Machines, settings: Settings, password: Secret, carry_out: Carry
) -> None:
    machine = machines["s1"]
    found = machine.answers[NodeState]()
    started = found.text(paths.K3S_STARTED).replace(found.sha256(paths.K3S_TOKEN), short(password).sha256)
    _file(machine, paths.K3S_STARTED, text=started)
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
    fresh: Machines, settings: Settings, password: Secret, carry_out: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, counts = fresh["s1"], iter([31, 40, 51])
    monkeypatch.setattr(k3s, "READY_SECONDS", 60)

    class Replies(dict[str, list[str]]):
        def items(self) -> Any:
            return [("NRestarts", ["ActiveState=activating", f"NRestarts={next(counts, 51)}"])]

    machine.replies = Replies()
    carry_out(machine, k3s.server, settings=settings, token=password)
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


# --- the cluster


def _seen(machine: Any, change: Callable[[list[str]], list[str]], lines: list[str]) -> None:
    machine.answers[ClusterState] = lambda: parse(change(lines))


def test_a_cluster_that_is_not_complete_is_waited_for_and_the_lack_is_said(
    machines: Machines, settings: Settings, carry_out: Carry, lines_of: Any
) -> None:
    machine = machines["s1"]
    lines = lines_of["cluster"](settings)
    _seen(machine, lambda lines: [line.replace('"name": "a1"', '"name": "x"') for line in lines], lines)
    carry_out(machine, cluster.ready, settings=settings)
    assert machine.logs[-1] == "the cluster: not within 0 s; Node a1 has not registered"


def test_labels_and_taints_follow_the_environment_and_foreign_ones_stay(
    machines: Machines, rzp: dict[str, Any], carry_out: Carry, texts: Texts
) -> None:
    rzp["nodes"]["a1"] |= {"labels": {"disk": "small"}, "taints": []}
    rzp["nodes"]["s1"] |= {"labels": {"role": "main"}, "taints": ["main=:NoExecute"]}
    text = texts(carry_out(machines["s1"], cluster.labels_and_taints, settings=Settings.parse(rzp)))
    for words in (
        "label node s1 --overwrite role=main",
        "taint node s1 --overwrite main=:NoExecute",
        "label node a1 --overwrite disk=small",
        "taint node a1 --overwrite only:NoSchedule-",
        "annotate node a1 --overwrite rzp.io/owned-taints=",
    ):
        assert words in text
    assert "disk-" not in text
    assert "s2" not in text


def test_the_kubeconfig_is_fetched_into_a_private_file(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path, admin: str
) -> None:
    machine, target = machines["s1"], tmp_path / "kubeconfig"
    machine.replies = {"base64 -w0": [base64.b64encode(admin.encode()).decode()]}
    carry_out(machine, cluster.kubeconfig, settings=settings, target=target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert kubeconfig.is_current(target, settings, hashlib.sha256(admin.encode()).hexdigest())


# --- Argo CD


def test_argocd_is_installed_by_the_server_side_under_our_own_manager_and_marked_last(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    up = machine.answers[ArgoCDState]()
    machine.answers[ArgoCDState] = lambda: ArgoCD({}, up.workloads)
    commands = carry_out(machine, argocd.installed, settings=settings)
    text = [str(command) for command in commands]
    assert all(
        "--server-side --force-conflicts --field-manager=rzp-infra -n argocd" in text[i] for i in (0, 2, 4)
    )
    assert "sha256sum" in text[1]
    assert "kubectl wait --for=condition=Established" in text[3]
    assert settings.argocd.sha256 in commands[4].connector_arguments["_stdin"]
    assert settings.argocd.sha256 not in commands[0].connector_arguments["_stdin"]


def test_controllers_that_do_not_come_up_are_named(
    fresh: Machines, settings: Settings, carry_out: Carry
) -> None:
    carry_out(fresh["s1"], argocd.installed, settings=settings)
    assert "Argo CD's controllers: not within 0 s; absent: statefulset/argocd" in fresh["s1"].logs[-1]


def test_a_credential_goes_through_stdin_only(
    machines: Machines, rzp: dict[str, Any], carry_out: Carry, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RZP_SECRET_GITOPS_USERNAME", "reader")
    monkeypatch.setenv("RZP_SECRET_GITOPS_PASSWORD", "canary-password")
    rzp["gitops"]["credential"] = True
    settings = Settings.parse(rzp)
    machine = machines["s1"]
    commands = carry_out(machine, argocd.repository_credential, settings=settings)
    assert "canary-password" not in texts(commands) + repr(commands) + "".join(machine.logs)
    applied = json.loads(str(commands[0].connector_arguments["_stdin"]))
    assert applied["stringData"]["url"] == settings.gitops.repository
    assert applied["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "repository"}


def test_missing_projects_are_applied_as_root_renders_them_and_present_ones_are_left_to_it(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    seen = machine.answers[ArgoCDState]()
    others = {name: mark for name, mark in seen.applied.items() if not name.endswith(("/core", "/apps"))}
    machine.answers[ArgoCDState] = lambda: ArgoCD(others, seen.workloads)
    commands = carry_out(machine, argocd.projects, settings=settings)
    applied = [json.loads(str(command.connector_arguments["_stdin"])) for command in commands]
    assert [body["metadata"]["name"] for body in applied] == ["core", "apps"]
    assert all(body["spec"]["sourceRepos"] == [settings.gitops.repository] for body in applied)
    assert all("rzp.io/content" not in body["metadata"]["annotations"] for body in applied)
    assert "--server-side --force-conflicts --field-manager=rzp-infra" in str(commands[0])


def test_the_root_application_is_handed_over_once(
    machines: Machines, rzp: dict[str, Any], carry_out: Carry
) -> None:
    rzp["gitops"]["revision"] = "next"
    (command,) = carry_out(machines["s1"], argocd.handed_over, settings=Settings.parse(rzp))
    applied = json.loads(str(command.connector_arguments["_stdin"]))
    assert applied["spec"]["source"]["targetRevision"] == "next"
    assert applied["metadata"]["annotations"]["rzp.io/content"]


def test_a_revision_that_is_not_there_ends_the_run_before_the_hand_over(
    fresh: Machines, rzp: dict[str, Any], carry_out: Carry, tmp_path: Path
) -> None:
    rzp["gitops"]["repository"] = (tmp_path / "nothing").as_uri()
    carry_out(fresh["s1"], argocd.revision_exists, settings=Settings.parse(rzp))
    assert "cannot be read" in fresh["s1"].logs[-1]


def test_a_peers_state_is_the_same_for_all_who_ask(machines: Machines, settings: Settings) -> None:
    first = node.state_of(settings, machines["s1"])
    assert node.state_of(settings, machines["s1"]) is first
    assert recall(machines["s1"], ClusterState) is recall(machines["s1"], ClusterState)
