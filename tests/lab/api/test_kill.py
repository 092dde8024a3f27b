"""kill -9 of the daemon at any moment: what comes back is usable, and knows what was going on.

What a killed task leaves is what it leaves on Proxmox: a machine with `lock: create` and disks that nobody names, or a configuration
whose disks are gone; root deletes both. Whatever no task was working on is whole.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 4


class Daemon:
    """A daemon in a process of its own, and a session that speaks to it as the token or as root@pam."""

    def __init__(self, state: Path, plan: dict[str, Any]) -> None:
        self.state = state
        state.mkdir(exist_ok=True)
        (state / "plan.json").write_text(json.dumps(plan))
        self.process: subprocess.Popen[bytes] | None = None
        self.endpoint: dict[str, Any] = {}

    def launch(self) -> None:
        command = [sys.executable, "-m", "bootstrap.lab.daemon", str(self.state)]
        with (self.state / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def start(self) -> None:
        self.launch()
        assert self.process
        while self.endpoint.get("pid") != self.process.pid:
            assert self.process.poll() is None, (self.state / "daemon.log").read_text()
            time.sleep(0.01)
            if (self.state / "endpoint.json").exists():
                self.endpoint = json.loads((self.state / "endpoint.json").read_text())

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(10)

    def session(self, *, root: bool = False) -> requests.Session:
        session = requests.Session()
        session.trust_env, session.verify = False, str(self.state / "tls.pem")
        if root:
            login = {"username": "root@pam", "password": self.endpoint["root_password"]}
            ticket = self.call(session, "POST", "/access/ticket", **login)
            session.cookies.set("PVEAuthCookie", ticket["ticket"])
            session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        else:
            session.headers["Authorization"] = (
                f"PVEAPIToken={self.endpoint['token_id']}={self.endpoint['token']}"
            )
        return session

    def call(self, session: requests.Session, method: str, path: str, **values: Any) -> Any:
        query = method in ("GET", "DELETE")
        answer = session.request(
            method,
            f"{self.endpoint['url']}/api2/json{path}",
            params=values if query else None,
            data=None if query else values,
            timeout=10,
        )
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.reason}"
        return answer.json()["data"]

    def wait(self, session: requests.Session, upid: str) -> str:
        while True:
            status = self.call(session, "GET", f"/nodes/pve1/tasks/{upid}/status")
            if status["status"] == "stopped":
                return str(status["exitstatus"])
            time.sleep(0.005)


@pytest.fixture
def daemon(tmp_path: Path, plan: dict[str, Any]) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "lab", plan | {"statistics_interval": 0, "pace": 0.003})
    yield made
    if made.process and made.process.poll() is None:
        made.kill()


def live(daemon: Daemon, vmids: Iterator[int], touched: list[int]) -> None:
    """Creates, changes, starts, stops and destroys machines until the daemon is gone; `touched` are those since the start."""
    session = daemon.session()
    one = "/nodes/pve1/qemu"
    try:
        for vmid in vmids:
            touched.append(vmid)
            disks = {"scsi0": "vmdata:0,import-from=local:import/debian.qcow2", "scsi1": "vmdata:1"}
            steps: list[tuple[str, str, dict[str, Any]]] = [
                ("POST", one, {"vmid": vmid, "name": f"vm{vmid}", "tags": "rzp", "memory": 1024, **disks}),
                ("PUT", f"{one}/{vmid}/config", {"cores": 2, "scsi2": "vmdata:1"}),
                ("PUT", f"{one}/{vmid}/resize", {"disk": "scsi1", "size": "+1G"}),
                ("POST", f"{one}/{vmid}/status/start", {}),
                ("POST", f"{one}/{vmid}/config", {"delete": "scsi2", "force": 1, "description": "x" * 2000}),
                ("POST", f"{one}/{vmid}/status/stop", {}),
                *([("DELETE", f"{one}/{vmid}", {"purge": 1})] if vmid % 3 else []),
            ]
            for method, path, values in steps:
                if upid := daemon.call(session, method, path, **values):
                    daemon.wait(session, upid)
    except requests.RequestException:  # cut off in an answer, or before it
        pass
    finally:
        session.close()


def check(daemon: Daemon, touched: list[int]) -> int:
    """The lists agree, nothing is half but what was being worked on, and that can be removed; how many were half."""
    root, token = daemon.session(root=True), daemon.session()
    listed = sorted(vm["vmid"] for vm in daemon.call(token, "GET", "/cluster/resources", type="vm"))
    assert listed == sorted(vm["vmid"] for vm in daemon.call(token, "GET", "/nodes/pve1/qemu"))
    assert daemon.call(token, "GET", "/nodes/pve1/tasks", source="active") == []
    volumes: dict[int, set[str]] = {}
    for volume in daemon.call(root, "GET", "/nodes/pve1/storage/vmdata/content"):
        volumes.setdefault(volume["vmid"], set()).add(volume["volid"])
    half = 0
    for vmid in sorted({*listed, *volumes}):
        config = daemon.call(token, "GET", f"/nodes/pve1/qemu/{vmid}/config") if vmid in listed else {}
        named = {str(text).partition(",")[0] for text in config.values() if f"vm-{vmid}-disk" in str(text)}
        if "lock" in config or named != volumes.get(vmid, set()):
            assert vmid == touched[-1], (vmid, config, volumes.get(vmid))
            half += 1
    if touched and touched[-1] in listed:
        words = {"skiplock": 1, "purge": 1, "destroy-unreferenced-disks": 1}
        end = daemon.wait(root, daemon.call(root, "DELETE", f"/nodes/pve1/qemu/{touched[-1]}", **words))
        assert end == "OK"
        left = daemon.call(root, "GET", "/nodes/pve1/storage/vmdata/content", vmid=touched[-1])
        assert left == []
    root.close()
    token.close()
    return half


@pytest.mark.parametrize("rounds", [10, pytest.param(150, marks=pytest.mark.slow)])
def test_a_daemon_that_is_killed_at_work_comes_back_whole(
    daemon: Daemon, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, vmids, half = random.Random(SEED), itertools.count(100), 0
    daemon.start()
    first = dict(daemon.endpoint)
    for _ in range(rounds):
        touched: list[int] = []
        worker = threading.Thread(target=live, args=(daemon, vmids, touched))
        worker.start()
        time.sleep(draw.uniform(0.02, 0.35))
        daemon.kill()
        worker.join(20)
        daemon.start()
        assert [daemon.endpoint[key] for key in ("url", "token", "fingerprint", "root_password")] == [
            first[key] for key in ("url", "token", "fingerprint", "root_password")
        ]
        half += check(daemon, touched)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{rounds} kills at work, {next(vmids) - 100} machines, {half} times one was half\n"
        )
    assert "Traceback" not in (daemon.state / "daemon.log").read_text()


@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_a_daemon_that_is_killed_while_it_starts_can_be_started(daemon: Daemon, rounds: int) -> None:
    draw = random.Random(SEED)
    for _ in range(rounds):
        daemon.launch()
        time.sleep(draw.uniform(0.0, 0.5))
        daemon.kill()
    daemon.start()
    session = daemon.session()
    disk = "vmdata:0,import-from=local:import/debian.qcow2"
    upid = daemon.call(session, "POST", "/nodes/pve1/qemu", vmid=100, scsi0=disk)
    assert daemon.wait(session, upid) == "OK"
    assert "size=3G" in daemon.call(session, "GET", "/nodes/pve1/qemu/100/config")["scsi0"]
    assert check(daemon, []) == 0
    session.close()


def test_two_labs_live_side_by_side(tmp_path: Path, plan: dict[str, Any]) -> None:
    labs = [Daemon(tmp_path / name, plan | {"statistics_interval": 0}) for name in ("one", "two")]
    try:
        for lab in labs:
            lab.start()
        assert (
            len({lab.endpoint[key] for lab in labs for key in ("url", "files", "token", "fingerprint")}) == 8
        )
        for lab in labs:
            session = lab.session()
            upid = lab.call(
                session, "POST", "/nodes/pve1/qemu", vmid=100, name=lab.state.name, scsi0="vmdata:1"
            )
            assert lab.wait(session, upid) == "OK"
            session.close()
        labs[0].kill()
        session = labs[1].session()
        assert lab.call(session, "GET", "/nodes/pve1/qemu/100/config")["name"] == "two"
        session.close()
    finally:
        for lab in labs:
            if lab.process and lab.process.poll() is None:
                lab.kill()
