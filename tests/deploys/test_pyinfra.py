"""pyinfra itself, as a process of its own: whole runs on hosts that answer from text, and real logins on loopback."""

from __future__ import annotations

import json
import os
import pprint
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploys import kubeconfig, paths
from deploys.settings import Settings
from deploys.transport import without_delay

CANARY = "canary-0f4b7c1d9e2a6358"  # the password of conftest.py
PYINFRA = Path(sys.executable).with_name("pyinfra")


@dataclass
class Project:
    """A project folder with an environment `test` of its own; the code is the checkout's."""

    path: Path

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def pyinfra(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "RZP_SECRET_K3S_TOKEN": CANARY,
            "PYINFRA_PROGRESS": "off",
            "COLUMNS": "200",
        }
        return subprocess.run(
            [str(PYINFRA), "inventories/test.py", *words],
            cwd=self.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def project(tmp_path: Path, checkout: Path) -> Project:
    path = tmp_path / "project"
    (path / "inventories" / "group_data").mkdir(parents=True)
    for name in ("bootstrap", "deploys", "files", "kubernetes", "config.py", "inventories/group_data/all.py"):
        (path / name).symlink_to(checkout / name)
    return Project(path)


# --- whole runs on hosts that answer from text


@dataclass
class Fakes:
    project: Project
    rzp: dict[str, Any]

    def write(self) -> None:
        self.project.write(
            "inventories/group_data/test.py", f"rzp = {pprint.pformat(self.rzp, sort_dicts=False)}\n"
        )

    def run(self, *words: str) -> tuple[dict[str, Any], list[str]]:
        """The JSON of a run, and the remote commands as `[host] >>> …`."""
        self.write()
        done = self.project.pyinfra("deploys/k3s.py", "--json", "-vv", *words)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr
        return json.loads(done.stdout), [line for line in done.stderr.splitlines() if ">>> " in line]


@pytest.fixture
def converged(project: Project, rzp: dict[str, Any], lines_of: Any, admin: str) -> Fakes:
    """Four hosts that answer as converged ones do."""
    rzp["nodes"] = {f"@fake/{name}": node for name, node in rzp["nodes"].items()}
    settings = Settings.parse(rzp)
    groups: dict[str, list[Any]] = {"k3s_servers": [], "k3s_agents": []}
    for name, node in settings.nodes.items():
        answers = {
            "dpkg-query -W": lines_of["node"](settings, name),
            "get nodes -o json": lines_of["cluster"](settings),
            "workloads": lines_of["argocd"](settings),
        }
        groups[f"k3s_{node.role}s"].append(
            (name, {"fake_responses": answers, "fake_delay": 0, "fake_delay_jitter": 0})
        )
    text = "".join(f"{group} = {hosts!r}\n" for group, hosts in groups.items())
    project.write("inventories/test.py", text)
    kubeconfig.write(project.path / "inventories" / "test.kubeconfig", settings, admin)
    return Fakes(project, rzp)


def _changes(run: dict[str, Any]) -> list[str]:
    return [step["name"] for step in run["plan"] if step["hosts_with_change"]]


def test_a_converged_cluster_costs_one_command_per_host_and_two_more_on_one_server(converged: Fakes) -> None:
    plan, commands = converged.run("--dry")
    assert _changes(plan) == []
    assert len(commands) == 4 + 2
    assert sum("@fake/s1" in command for command in commands) == 3
    run, commands = converged.run("-y")
    assert len(commands) == 4 + 2
    assert run["results"]["failed_hosts"] == []
    assert run["results"]["totals"]["success"] == 0


@pytest.mark.parametrize("mode", ["--dry", "-y"])
def test_what_is_not_healthy_later_is_a_warning_and_costs_nothing_more(converged: Fakes, mode: str) -> None:
    inventory = converged.project.path / "inventories/test.py"
    inventory.write_text(inventory.read_text().replace('"status": "Healthy"', '"status": "Degraded"'))
    converged.rzp["gitops"]["left_out"] = ["core/longhorn: no pin"]
    converged.write()
    done = converged.project.pyinfra("deploys/k3s.py", "--json", "-vv", mode)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not Synced and Healthy: root Synced/Degraded") == 1
    assert done.stderr.count("left out: core/longhorn: no pin") == 1
    assert done.stderr.count(">>> ") == 4 + 2
    assert _changes(json.loads(done.stdout)) == []


def test_servers_come_one_after_the_other_then_agents_then_the_cluster(converged: Fakes) -> None:
    names = [step["name"] for step in converged.run("--dry")[0]["plan"]]
    steps = ["Server @fake/s1", "Server @fake/s2", "Server @fake/s3", "Agents", "The cluster is ready"]
    assert [name for name in names if name in steps] == steps
    assert names[-1].endswith("Everything is Synced and Healthy")
    hosts = {step["name"]: step for step in converged.run("--dry")[0]["plan"]}
    assert set(hosts) >= set(steps)


def test_after_an_edit_the_plan_names_exactly_what_differs(converged: Fakes) -> None:
    converged.rzp["k3s"]["tls_san"] = ["k3s.example"]
    assert _changes(converged.run("--dry")[0]) == ["Server @fake/s1", "Server @fake/s2", "Server @fake/s3"]
    converged.rzp["k3s"]["tls_san"] = []
    converged.rzp["nodes"]["@fake/a1"]["labels"] = {"disk": "small"}
    assert _changes(converged.run("--dry")[0]) == ["Labels and taints"]


def test_the_second_server_is_not_touched_after_the_first_one_failed(converged: Fakes) -> None:
    """With -y pyinfra itself would go on; config.py makes it stop."""
    inventory = converged.project.path / "inventories/test.py"
    text = inventory.read_text()
    inventory.write_text(text.replace(f"exists\\t{paths.ETCD_MEMBER}", f"exists\\t{paths.SQLITE}", 1))
    converged.rzp["k3s"]["tls_san"] = ["k3s.example"]  # every server has something to do
    converged.write()
    done = converged.project.pyinfra("deploys/k3s.py", "-y")
    assert done.returncode == 1
    assert "@fake/s1 holds a K3s database of the SQLite kind" in done.stderr
    assert "Server @fake/s2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_exit_status_of_zero_proves_nothing_the_json_does(converged: Fakes) -> None:
    """Trap 7: a limit that matches no host and a plan with changes both end with 0."""
    nobody, commands = converged.run("--dry", "--limit", "no-such-host")
    assert commands == []
    assert nobody["plan"] == []
    converged.rzp["k3s"]["tls_san"] = ["k3s.example"]
    changed, _ = converged.run("--dry")
    assert _changes(changed) != []


def test_a_fault_in_the_group_data_is_one_line_without_a_traceback(converged: Fakes) -> None:
    converged.rzp["k3s"]["sha256"] = None
    converged.write()
    done = converged.project.pyinfra("deploys/k3s.py", "--dry")
    assert done.returncode == 1
    assert "rzp.k3s.sha256: the pin or value is not known (None)" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_inventory_is_shown_without_a_secret(converged: Fakes) -> None:
    converged.write()
    done = converged.project.pyinfra("debug-inventory")
    assert done.returncode == 0
    assert CANARY not in done.stdout + done.stderr


# --- real logins on loopback


def test_the_transport_has_no_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        transport = without_delay(client)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        client.close()


@dataclass
class Sshd:
    """A server on loopback that lets root in with a key."""

    folder: Path
    port: int

    @property
    def host_key(self) -> str:
        return (self.folder / "host.pub").read_text().strip()


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("needs root and sshd (openssh-server)")
    folder = tmp_path / "sshd"
    folder.mkdir()
    _key(folder / "host")
    _key(folder / "login")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nAuthorizedKeysFile {folder}/login.pub\n"
        "Subsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and "Server listening" not in (folder / "log").read_text():
        time.sleep(0.02)
    yield Sshd(folder, port)
    server.terminate()
    server.wait(10)


@pytest.fixture
def reachable(project: Project, sshd: Sshd) -> Project:
    """One host behind the server; without sudo, for these deploys write below the test's own folder."""
    project.write("inventories/test.py", 'machines = [("here", {"ssh_hostname": "127.0.0.1"})]\n')
    values = {
        "_sudo": False,
        "ssh_user": "root",
        "ssh_port": sshd.port,
        "ssh_key": str(sshd.folder / "login"),
    }
    values |= {"ssh_known_hosts_file": "inventories/test.known_hosts", "ssh_connect_retries": 0}
    project.write(
        "inventories/group_data/test.py", "".join(f"{key} = {value!r}\n" for key, value in values.items())
    )
    project.write("inventories/test.known_hosts", f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    return project


SECRET_FILE = """
import os
from pathlib import Path
from pyinfra.api.operation import operation
from pyinfra.context import host
from deploys.token import short
from deploys.wanted import File
from bootstrap.secrets import Secret

@operation()
def secret(file, token):
    file.show(host, NODE)
    yield file.write()

class NODE:
    @staticmethod
    def text(path):
        return ""

token = Secret(os.environ["RZP_SECRET_K3S_TOKEN"])
file = File(str(Path.cwd() / "secret"), short(token).text, mode=0o600, secret=True)
secret(name="named", file=file, token=token)
secret(file=file, token=token)
"""


@pytest.mark.parametrize(
    "flags",
    [
        ("-y", "--diff", "-vvv"),
        ("--dry", "--diff", "-vvv"),
        ("--debug-operations",),
        ("--json", "-y"),
        ("-y", "--debug"),
    ],
    ids=" ".join,
)
def test_a_secret_is_in_nothing_that_pyinfra_prints(
    reachable: Project, sshd: Sshd, flags: tuple[str, ...]
) -> None:
    reachable.write("deploy.py", SECRET_FILE)
    done = reachable.pyinfra("deploy.py", *flags)
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr + (sshd.folder / "log").read_text()
    assert [
        path for path in Path("/tmp").glob("pyinfra-*") if CANARY in path.read_text(errors="replace")
    ] == []
    if "-y" in flags:
        written = reachable.path / "secret"
        assert written.read_text() == f"{CANARY}\n"
        assert written.stat().st_mode & 0o777 == 0o600


def test_a_host_with_another_key_is_refused(reachable: Project, sshd: Sshd) -> None:
    _key(sshd.folder / "other")
    other = (sshd.folder / "other.pub").read_text()
    reachable.write("inventories/test.known_hosts", f"[127.0.0.1]:{sshd.port} {other}")
    reachable.write("deploy.py", SECRET_FILE)
    done = reachable.pyinfra("deploy.py", "-y")
    assert done.returncode == 1
    assert "Host key for 127.0.0.1 does not match" in done.stderr
    assert not (reachable.path / "secret").exists()


def test_a_host_whose_key_is_unknown_is_refused(reachable: Project) -> None:
    reachable.write("inventories/test.known_hosts", "")
    reachable.write("deploy.py", SECRET_FILE)
    done = reachable.pyinfra("deploy.py", "-y")
    assert done.returncode == 1
    assert not (reachable.path / "secret").exists()
    assert (reachable.path / "inventories/test.known_hosts").read_text() == ""


def test_one_host_that_fails_ends_the_run(reachable: Project) -> None:
    """pyinfra's `-y` alone would go on with the others."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    hosts = [
        ("here", {"ssh_hostname": "127.0.0.1"}),
        ("gone", {"ssh_hostname": "127.0.0.1", "ssh_port": port}),
    ]
    reachable.write("inventories/test.py", f"machines = {hosts!r}\n")
    reachable.write("deploy.py", SECRET_FILE)
    done = reachable.pyinfra("deploy.py", "-y")
    assert done.returncode == 1
    assert not (reachable.path / "secret").exists()


NODELAY = """
import socket
from pyinfra.context import host
sock = host.connector.client.get_transport().sock
host.log(f"no delay: {bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))}")
"""


def test_logins_use_the_transport_without_delay(reachable: Project) -> None:
    reachable.write("deploy.py", NODELAY)
    assert "no delay: True" in reachable.pyinfra("deploy.py", "--dry").stderr
