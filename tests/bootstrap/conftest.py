"""A site of the tests' own: staging and production with addresses that no documentation uses."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import BaseAdapter

from bootstrap import config
from bootstrap.apply import Event, Result, apply
from bootstrap.cluster import K3sCluster
from bootstrap.config import demo
from bootstrap.config.access import Access
from bootstrap.config.base import Environment
from bootstrap.config.network import Network, Subnet4, Subnet6
from bootstrap.config.proxmox import Proxmox
from bootstrap.errors import TaskFailed
from bootstrap.lab import faults
from bootstrap.live import Observed
from bootstrap.machine import Machine
from bootstrap.plan import Plan, diff
from bootstrap.proxmox import images, tasks
from bootstrap.proxmox.access import Access as Login
from bootstrap.proxmox.read import observe
from bootstrap.proxmox.session import Client
from bootstrap.proxmox.transport import Limits
from bootstrap.secrets import Secret
from bootstrap.sshprobe import Sighting

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
            "ingress": environment.ingress.model_copy(update={"domain": "k3s.home.arpa"}),
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


@dataclass
class Hosts:
    """Stands in for the machines' SSH ports, which the lab without machines does not have."""

    key: str | None = KEY
    answering: frozenset[str] = frozenset()

    def answers(self, address: str, port: int | None = None) -> bool:  # noqa: ARG002 - the real one's
        return address in self.answering

    def look(self, address: str) -> Sighting:
        return Sighting(self.key, f"port 22 of {address} is silent")


@dataclass
class Lab:
    """A running lab without machines, and the demo environment that belongs to it."""

    endpoint: dict[str, Any]
    state: Path
    hosts: Hosts = field(default_factory=Hosts)
    events: list[Event] = field(default_factory=list)

    @cached_property
    def environment(self) -> Environment:
        """The demo with one agent less, which is enough here; a test may put another in its place."""
        built = demo.build(self.endpoint)
        return built.model_copy(update={"agents": (built.agents[0].model_copy(update={"count": 1}),)})

    @property
    def machines(self) -> tuple[Machine, ...]:
        return K3sCluster(self.environment).machines

    @property
    def login(self) -> Login:
        return Login(
            environment="demo",
            endpoints=(self.endpoint["url"],),
            user="rzp@pve",
            token_name="infra",
            secret=Secret(self.endpoint["token"]),
            fingerprint=self.endpoint["fingerprint"],
        )

    def client(
        self, transport: Callable[[BaseAdapter], BaseAdapter] = lambda real: real, **other: Any
    ) -> Client:
        return Client(
            replace(self.login, **other),
            limits=Limits(first_poll=0.02, first_pause=0.02),
            transport=transport,
        )

    def root(self) -> Client:
        """The administrator, who makes the mess that tests start from."""
        return self.client(user="root@pam", token_name=None, secret=Secret(self.endpoint["root_password"]))

    def observe(self) -> Observed:
        return observe(self.client(), self.environment, self.machines)

    def plan(self, machines: tuple[Machine, ...] | None = None, **options: Any) -> Plan:
        wanted = self.machines if machines is None else machines
        seen = observe(self.client(), self.environment, wanted)
        image = self.environment.image.filename
        return diff(self.environment.name, wanted, seen, image=image, image_storage="local", **options)

    def apply(self, plan: Plan, client: Client | None = None, **options: Any) -> Result:
        return apply(
            plan,
            client=lambda: client or self.client(),
            environment=self.environment,
            seed=lambda machine: machine.name.encode() * 4096,
            host_key=lambda _: KEY,
            report=options.pop("report", self.events.append),
            probe=self.hosts,
            **options,
        )

    def volumes(self) -> list[str]:
        """Every volume on both storages, disks without their format's ending."""
        root = self.root()
        found = images.content(root, "pve1", "vmdata") + images.content(root, "pve1", "local")
        return sorted(str(entry["volid"]).removesuffix(".raw").removesuffix(".qcow2") for entry in found)

    def expected_volumes(self, machines: tuple[Machine, ...]) -> list[str]:
        """The image, and each machine's disks in the order in which they were made."""
        disks = [f"vmdata:{m.vmid}/vm-{m.vmid}-disk-{n}" for m in machines for n, _ in enumerate(m.disks)]
        return sorted([images.volume(self.environment).removesuffix(".qcow2"), *disks])

    def empty(self) -> None:
        """Every VM and every file gone, and no fault left."""
        faults.clear(self.state)
        root = self.root()
        for entry in root.get("/cluster/resources", {"type": "vm"}):
            path = f"/nodes/{entry['node']}/qemu/{entry['vmid']}"
            for upid in tasks.running(root, entry["node"], entry["vmid"]).values():
                with contextlib.suppress(TaskFailed):
                    tasks.wait(root, upid, limit=10)
            root.put(f"{path}/config", {"protection": False, "delete": "lock", "skiplock": True})
            tasks.wait(root, root.post(f"{path}/status/stop"), limit=10)
            tasks.wait(root, root.delete(path, {"destroy-unreferenced-disks": True}), limit=10)
        for node in (entry["node"] for entry in root.get("/nodes")):
            for entry in images.content(root, node, "local") + images.content(root, node, "vmdata"):
                images.delete_volume(root, node, entry["volid"])


@contextlib.contextmanager
def running_lab(state: Path, **plan: Any) -> Iterator[Lab]:
    storages = [
        {"storage": "local", "type": "dir", "content": "iso,import,vztmpl,backup,snippets", "shared": 0},
        {"storage": "vmdata", "type": "dir", "content": "images,rootdir", "shared": 0},
    ]
    values: dict[str, Any] = {
        "environment": "demo",
        "backend": "record",
        "pve": "9.2",
        "nodes": ["pve1"],
        "storages": storages,
        "bridge": "vmbr0",
        "vlan": None,
        "ipv4": {"network": "10.77.0.0/24", "gateway": "10.77.0.1"},
        "ipv6": {"network": "fd77::/64", "gateway": "fd77::1"},
        "dns": ["10.77.0.1"],
        "token_id": "rzp@pve!infra",
        "image_storage": "local",
        "image_filename": None,
        "delay_401": 0,
    }
    state.mkdir(mode=0o700)
    (state / "plan.json").write_text(json.dumps({**values, **plan}))
    with (state / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "bootstrap.lab.daemon", str(state)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 20
        while not (state / "endpoint.json").exists():
            assert daemon.poll() is None, (state / "daemon.log").read_text()
            assert time.monotonic() < deadline, "the lab did not start"
            time.sleep(0.02)
        yield Lab(json.loads((state / "endpoint.json").read_text()), state)
    finally:
        daemon.terminate()
        daemon.wait(10)


@pytest.fixture
def fresh_lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A lab of one's own, parametrized indirectly by what is different about it."""
    with running_lab(tmp_path / "lab", **getattr(request, "param", {})) as running:
        yield running


@pytest.fixture(scope="session")
def untouched_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for every test that changes nothing in it."""
    with running_lab(tmp_path_factory.mktemp("lab") / "state") as running:
        yield running


@pytest.fixture
def lab(untouched_lab: Lab) -> Iterator[Lab]:
    """An empty lab, emptied again afterwards. Users, roles and storages stay as they are made."""
    yield Lab(untouched_lab.endpoint, untouched_lab.state)
    untouched_lab.empty()
