"""Stand-in servers and agents as processes on loopback, each with a root folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bootstrap.lab.standin import publish
from bootstrap.lab.standin.k3s.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD = "a-shared-password"
DEADLINE = 12.0


@dataclass
class Machine:
    """One machine with the stand-in installed; `k3s` is what systemd would start."""

    binary: Path
    root: Path
    name: str
    port: int
    values: dict[str, Any] = field(default_factory=dict)
    token: str = PASSWORD
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def server(self) -> Path:
        return self.root / "var/lib/rancher/k3s/server"

    @property
    def token_on_disk(self) -> str:
        return (self.server / "token").read_text()

    @property
    def log(self) -> str:
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "RZP_STANDIN_ROOT": str(self.root), "RZP_STANDIN_PACE": "0.25"}

    def secure(self, other: Machine) -> None:
        """The token in the form that pins the other's CA."""
        self.token = (other.server / "token").read_text().strip()

    def configure(self, role: str) -> None:
        folder = self.root / "etc/rancher/k3s"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(self.token)
        (folder / "token").chmod(0o600)
        own: dict[str, Any] = {
            "token-file": "/etc/rancher/k3s/token",
            "node-name": self.name,
            "node-ip": "127.0.0.1",
        }
        if role == "server":
            own |= {"https-listen-port": self.port, "bind-address": "127.0.0.1"}
        (folder / "config.yaml").write_text(yaml.safe_dump(own | self.values))

    def start(self, role: str = "server", *, ready: bool = True, **more: str) -> None:
        self.configure(role)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        channel.bind(f"\0rzp-standin-{self.port}")
        channel.settimeout(DEADLINE)
        environment = self.environment | {"NOTIFY_SOCKET": f"@rzp-standin-{self.port}"} | more
        with (self.root / "log").open("wb") as log, channel:
            command = [sys.executable, str(self.binary), role]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                assert not ready or channel.recv(100) == b"READY=1"
            except TimeoutError:
                pytest.fail(f"{self.name} did not get ready: {self.log}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(number)
            assert self.process.wait(10) in (0, -number, 1), self.log
        self.process = None

    def fails(self, role: str = "server", **more: str) -> str:
        """The log of a start that K3s refuses."""
        self.start(role, ready=False, **more)
        return self.ends()

    def ends(self) -> str:
        """The log of a process that ends by itself with exit code 1."""
        assert self.process
        assert self.process.wait(10) == 1, self.log
        self.process = None
        return self.log

    def says(self, text: str) -> None:
        until(lambda: text in self.log, lambda: self.log)

    def kubectl(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self.binary), "kubectl", *words]
        return subprocess.run(
            command, env=self.environment, input=text, capture_output=True, text=True, check=False
        )

    def json(self, *words: str) -> Any:
        done = self.kubectl("get", *words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def apply(self, *objects: dict[str, Any], flags: tuple[str, ...] = ()) -> str:
        """What `apply` in the deploy's form printed, both channels."""
        words = ("apply", "--server-side", "--force-conflicts", *flags, "-f", "-")
        done = self.kubectl(*words, text=yaml.safe_dump_all(objects))
        return done.stdout + done.stderr

    def conditions(self, kind: str) -> dict[str, str]:
        """By node, the status of a condition; nodes without it are left out. Asked without kubectl, which is slow."""
        home = self.server / "tls"
        certificate = (home / "client-admin.crt", home / "client-admin.key")
        client = Client(self.url, (home / "server-ca.crt").read_text(), certificate=certificate)
        nodes = client.post("get", {"targets": [["nodes", []]], "namespace": None})["items"]
        return {
            node["object"]["metadata"]["name"]: entry["status"]
            for node in nodes
            for entry in node["object"]["status"]["conditions"]
            if entry["type"] == kind
        }

    def votes(self, *names: str) -> None:
        until(lambda: self.conditions("EtcdIsVoter") == dict.fromkeys(names, "True"), lambda: self.log)

    def until_available(self, namespace: str, count: int) -> None:
        def up() -> bool:
            items = self.json("deployments.apps,statefulsets.apps", "-n", namespace)["items"]
            ready = [item["status"]["availableReplicas"] >= item["spec"].get("replicas", 1) for item in items]
            return ready == [True] * count

        until(up, lambda: self.kubectl("get", "deployments,statefulsets", "-n", namespace).stdout)

    def wipe(self) -> None:
        """A new disk under the old name."""
        shutil.rmtree(self.root)
        self.root.mkdir()


def until(holds: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux":
        pytest.skip("the stand-in runs inside Debian machines: needs Linux")
    www = tmp_path_factory.mktemp("www")
    publish(www, "http://127.0.0.1")
    return www / "k3s"


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def machine(binary: Path, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Makes machines; what is still running at the end is killed by its pid."""
    made: list[Machine] = []

    def make(name: str, **values: Any) -> Machine:
        keys = {key.replace("_", "-"): value for key, value in values.items()}
        (tmp_path / name).mkdir()
        made.append(Machine(binary, tmp_path / name, name, _port(), keys))
        return made[-1]

    yield make
    for one in made:
        one.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def lone(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One running server for what needs no second machine."""
    one = Machine(binary, tmp_path_factory.mktemp("lone"), "lone", _port(), {"cluster-init": True})
    one.start()
    yield one
    one.stop(signal.SIGKILL)
