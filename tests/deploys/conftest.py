"""An environment of the deploys, a host that answers from values, and the text that a converged host would give."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand
from pyinfra.context import ctx_host

from bootstrap.secrets import Secret
from deploys import handover, k3s_files, longhorn, paths, system, token
from deploys.facts import argocd, cluster
from deploys.facts.argocd import ArgoCD, ArgoCDState
from deploys.facts.cluster import Cluster, ClusterState
from deploys.facts.node import Node, NodeState, parse
from deploys.facts.questions import UNIT
from deploys.settings import Settings

PASSWORD = "canary-0f4b7c1d9e2a6358"
CA = hashlib.sha256(b"the CA").hexdigest()
ADMIN = """apiVersion: v1
kind: Config
clusters:
- {name: default, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}
users:
- {name: default, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
contexts:
- {name: default, context: {cluster: default, user: default}}
current-context: default
"""
DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi2"


@pytest.fixture(autouse=True)
def _in_the_project(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyinfra runs in the project's folder."""
    monkeypatch.chdir(checkout)


@pytest.fixture
def password() -> Secret:
    return Secret(PASSWORD)


@pytest.fixture
def admin() -> str:
    """A server's own kubeconfig."""
    return ADMIN


@pytest.fixture
def rzp() -> dict[str, Any]:
    def node(role: str, host: int, **more: Any) -> dict[str, Any]:
        addresses = [f"192.0.2.{host}", f"2001:db8::{host}"]
        return {
            "role": role,
            "pool": role,
            "addresses": addresses,
            "labels": {},
            "taints": [],
            "data_disks": [],
        } | more

    disk = {"device": DISK, "mount": "/var/lib/longhorn", "filesystem": "ext4"}
    return {
        "environment": "test",
        "nodes": {
            "s1": node("server", 20),
            "s2": node("server", 21),
            "s3": node("server", 22),
            "a1": node(
                "agent", 30, data_disks=[disk], labels={"disk": "big"}, taints=["only=storage:NoSchedule"]
            ),
        },
        "k3s": {
            "version": "v1.36.4+k3s1",
            "url": "https://releases.example/v1.36.4%2Bk3s1/k3s",
            "sha256": "8" * 64,
            "disable": ["traefik", "servicelb"],
            "cluster_cidr": ["10.42.0.0/16", "fd42::/56"],
            "service_cidr": ["10.43.0.0/16", "fd43::/112"],
            "tls_san": [],
            "settings": {},
        },
        "argocd": {"version": "v3.5.1", "url": "https://raw.example/v3.5.1/install.yaml", "sha256": "7" * 64},
        "gitops": {
            "repository": "https://git.example/rzp-infra.git",
            "revision": "main",
            "path": "kubernetes/clusters/test",
            "credential": False,
        },
        "kubeconfig": "inventories/test.kubeconfig",
        "context": "rzp-test",
        "components": ["cert-manager", "longhorn-system"],
    }


@pytest.fixture
def settings(rzp: dict[str, Any]) -> Settings:
    return Settings.parse(rzp)


def _answer(path: str, mode: int, kind: str, value: str) -> str:
    return f"file\t{path}\t{mode:o}\troot\t{kind}\t{value}"


def _dumpe2fs(blocks: int, *, size: int = 4096) -> str:
    """The lines of an ext4 that the script picks, as it sends them."""
    text = f"Block count:              {blocks}\nBlock size:               {size}\nBlocks per group:         {size * 8}\n"
    return base64.b64encode(text.encode()).decode()


def _system_disk(*, total: int = 41943040, size: int = 41680863, blocks: int = 5210107) -> str:
    """/ as on Debian's cloud image after its first boot: partition 1 behind 14 and 15. Numbers are sectors."""
    return f"root\text4\tsda1\tsda\t1\t262144\t{size}\t{total}\t262144 2048 8192\t{_dumpe2fs(blocks)}"


def converged_lines(settings: Settings, name: str) -> list[str]:
    """What the gathering script prints on a host that is as wanted."""
    node, secret = settings.nodes[name], Secret(PASSWORD)
    others = [server for server in settings.servers if server != name]
    server = node.role == "server"
    drop_in = k3s_files.joining(settings, name, others[0]) if others else k3s_files.founding(settings, name)
    tokens = token.pinned(secret, CA) if others else token.short(secret)
    unit = k3s_files.unit(settings, name)
    config = k3s_files.config(settings, name)
    started = {paths.K3S_BINARY: settings.k3s.sha256} | {
        file.path: file.sha256 for file in (config, tokens, unit)
    }
    texts = [
        (paths.CLOUD_INIT_RESULT, 0o644, "{}"),
        (paths.CLOUD_INIT_STATUS, 0o644, '{"v1": {"init": {"errors": [], "recoverable_errors": {}}}}'),
        (paths.MODULES_LOAD, 0o644, system.modules_text(settings)),
        (paths.SYSCTL, 0o644, system.sysctl_text(settings)),
        (paths.K3S_STARTED, 0o600, "".join(f"{digest}  {path}\n" for path, digest in started.items())),
        *((file.path, file.mode, file.text) for file in (config, unit)),
    ]
    chosen = drop_in if server else k3s_files.registering(settings, name)
    texts.append((chosen.path, chosen.mode, chosen.text))
    units = {UNIT[node.role]: "enabled", "swap.target": "masked"}
    units |= {"iscsid.socket": "enabled"} if longhorn.runs(settings) else {}
    lines = ["cloud-init", _system_disk()]
    for disk in node.data_disks:
        uuid = "5c0c1b2e-0000-4000-8000-000000000001"
        mount = system.mount_unit(disk.mount)
        texts.append((paths.unit(mount), 0o644, system.mount_text(uuid, disk)))
        units[mount] = "enabled"
        tags = base64.b64encode(f"DEVNAME=/dev/sdb\nUUID={uuid}\nTYPE=ext4\n".encode()).decode()
        held = f"{8 << 30}\t{_dumpe2fs((8 << 30) // 4096)}"
        lines += [
            f"disk\t{disk.device}\t/dev/sdb\t8:10\t0\t{tags}\t\t0\t{held}",
            f"mount\t{disk.mount}\t8:16",
        ]
    lines += [
        _answer(path, mode, "text", base64.b64encode(text.encode()).decode()) for path, mode, text in texts
    ]
    lines += [_answer(paths.K3S_BINARY, 0o755, "sha256", settings.k3s.sha256)]
    lines += [_answer(paths.K3S_TOKEN, 0o600, "sha256", tokens.sha256)]
    if server:
        lines += [
            _answer(paths.SERVER_CA, 0o644, "sha256", CA),
            _answer(paths.K3S_KUBECONFIG, 0o600, "sha256", hashlib.sha256(ADMIN.encode()).hexdigest()),
        ]
        lines += [f"exists\t{paths.ETCD_MEMBER}", "serving"]
    for unit_name, state in units.items():
        lines += [
            f"unit\tId={unit_name}",
            "unit\tActiveState=active",
            f"unit\tUnitFileState={state}",
            "unit\t",
        ]
    packages = (*system.PACKAGES["machine"], *system.node_packages(settings))
    lines += [f"package\t{package}\tii " for package in packages]
    lines += [f"module\t{module}" for module in system.modules(settings)]
    lines += [f"sysctl\t{key}\t{value}" for key, value in system.sysctl_values(settings).items()]
    return [*lines, "end"]


def _kube_node(settings: Settings, name: str) -> dict[str, Any]:
    node = longhorn.labelled(settings, settings.nodes[name])
    conditions = [{"type": "Ready", "status": "True"}]
    conditions += [{"type": "EtcdIsVoter", "status": "True"}] if node.role == "server" else []
    taints = [taint.replace("=", ":").split(":") for taint in node.taints]
    notes = {
        cluster.LABELS: ",".join(sorted(node.labels)),
        cluster.TAINTS: ",".join(f"{k}:{e}" for k, _, e in taints),
    }
    return {
        "metadata": {"name": name, "labels": node.labels, "annotations": notes},
        "spec": {"taints": [{"key": k, "value": v, "effect": e} for k, v, e in taints]},
        "status": {
            "nodeInfo": {"kubeletVersion": settings.k3s.version},
            "addresses": [{"type": "InternalIP", "address": str(address)} for address in node.addresses],
            "conditions": conditions,
        },
    }


def cluster_lines(settings: Settings) -> list[str]:
    """What a server of a converged cluster says about it."""
    nodes = {"items": [_kube_node(settings, name) for name in settings.nodes]}
    return ["unit\tactive", "readyz\tok", "nodes", *json.dumps(nodes, indent=4).splitlines()]


def argocd_lines(settings: Settings) -> list[str]:
    """What a server says about Argo CD after the hand-over."""
    wanted = [handover.installed(settings), *handover.root(settings)]
    items = [
        {
            "kind": "StatefulSet" if kind == "statefulset" else "Deployment",
            "metadata": {"name": name, "generation": 1},
            "spec": {"replicas": 1},
            "status": {"availableReplicas": 1, "observedGeneration": 1},
        }
        for kind, name in (controller.split("/") for controller in argocd.CONTROLLERS)
    ]
    applied = [f"applied\t{item.name}\t{item.sha256}" for item in wanted]
    applied += [f"applied\t{item.name}\t" for item in handover.projects(settings)]
    return [*applied, "workloads", *json.dumps({"items": items}, indent=4).splitlines()]


@pytest.fixture
def dumpe2fs() -> Callable[..., str]:
    """An ext4 of so many blocks, as the gathering script sends it."""
    return _dumpe2fs


@pytest.fixture
def system_disk() -> Callable[..., str]:
    """The gathering script's line about a system disk."""
    return _system_disk


@dataclass
class Run:
    """The run that hosts belong to; compared by identity, as pyinfra's state is."""

    is_executing: bool = True
    DIFF: bool = False

    @property
    def config(self) -> Run:
        return self

    __hash__ = object.__hash__


Answers = dict[type, Callable[[], Any]]


@dataclass
class Machine:
    """A host whose facts are values, and which records what is said and run."""

    name: str
    state: Run
    answers: Answers
    inventory: Machines | None = None
    connected: bool = True
    asked: list[str] = field(default_factory=list)
    noops: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    shell: list[str] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)

    def get_fact(self, fact: type, **_: object) -> Any:
        self.asked.append(fact.__name__)
        return self.answers[fact]()

    def noop(self, text: str) -> None:
        self.noops.append(text)

    def log(self, text: str, **_: object) -> None:
        self.logs.append(text)

    log_styled = log

    def connect(self, **_: object) -> None:
        raise TimeoutError("no route to host")

    def run_shell_command(self, command: StringCommand, **_: object) -> tuple[bool, Any]:
        text = command.get_raw_value()
        self.shell.append(text)
        lines = next((lines for part, lines in self.replies.items() if part in text), [])
        return True, type("Output", (), {"stdout": "\n".join(lines), "output": "\n".join(lines)})()


class Machines(dict[str, Machine]):
    """The inventory."""

    def get_host(self, name: str) -> Machine:
        return self[name]


@pytest.fixture
def machines(settings: Settings) -> Machines:
    """Every node of the environment, converged; a test changes what it is about."""
    run, found = Run(), Machines()
    for name in settings.nodes:
        answers: Answers = {
            NodeState: lambda name=name: parse(converged_lines(settings, name)),  # type: ignore[misc]
            ClusterState: lambda: cluster.parse(cluster_lines(settings)),
            ArgoCDState: lambda: argocd.parse(argocd_lines(settings)),
        }
        found[name] = Machine(name, run, answers, found)
    return found


def empty_machine() -> Node:
    """Right after its first boot."""
    return parse(["cloud-init", _answer(paths.CLOUD_INIT_RESULT, 0o644, "text", "e30="), "end"])


@pytest.fixture
def fresh(machines: Machines) -> Machines:
    """The same machines right after their first boot."""
    for machine in machines.values():
        machine.answers = {NodeState: empty_machine, ClusterState: Cluster, ArgoCDState: ArgoCD}
    return machines


Carry = Callable[..., list[PyinfraCommand]]


def _fails(command: FunctionCommand, machine: Any) -> bool:
    return command.execute(machine.state, machine, {}) is False


@pytest.fixture
def carry_out() -> Carry:
    """Run an operation on a machine as pyinfra does: to the end, or to the first failure."""

    def run(machine: Machine, operation: Any, **arguments: Any) -> list[PyinfraCommand]:
        done: list[PyinfraCommand] = []
        with ctx_host.use(machine):
            for command in operation._inner(**arguments):
                done.append(command)
                if not machine.state.is_executing:
                    break
                if isinstance(command, FunctionCommand) and _fails(command, machine):
                    break
        return done

    return run


@pytest.fixture
def texts() -> Callable[[list[PyinfraCommand]], str]:
    """What pyinfra would show of the commands."""
    return lambda commands: "\n".join(str(command) for command in commands)


@pytest.fixture
def lines_of() -> dict[str, Any]:
    """The converged hosts' answers as text, for a run through pyinfra itself."""
    return {"node": converged_lines, "cluster": cluster_lines, "argocd": argocd_lines}
