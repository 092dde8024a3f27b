"""What every test starts from: a clean environment, a desk to type at, and end-to-end tests that cannot be skipped in CI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

BIN = Path(sys.executable).parent


@dataclass
class Desk:
    """Runs commands in a copied checkout; everything that they print is kept for the canary search."""

    folder: Path
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    @property
    def lab(self) -> Path:
        return Path(self.environment["RZP_LAB_DIR"])

    @property
    def endpoint(self) -> dict[str, Any]:
        return dict(json.loads((self.lab / "endpoint.json").read_text()))

    def run(
        self, *argv: str, expect: int | None = 0, limit: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as typed; `expect` None accepts every exit code."""
        ran = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            check=False,
        )
        self.printed.append(ran.stdout)
        assert expect is None or ran.returncode == expect, (
            f"{' '.join(argv)}: exit {ran.returncode}\n{ran.stdout[-6000:]}"
        )
        return ran

    def inside(
        self, *argv: str, expect: int | None = 0, limit: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """The same inside the lab's network."""
        return self.run("rzp-bootstrap", "lab", "exec", "--", *argv, expect=expect, limit=limit, **variables)

    def api(self, method: str, path: str, *, root: bool = False, **params: Any) -> Any:
        """One call of the lab's API past our client, as the token or as root@pam."""
        endpoint = self.endpoint
        query = method in ("GET", "DELETE")
        with requests.Session() as session:
            session.trust_env = (
                False  # a CA bundle named in the environment would win over the lab's certificate
            )
            session.verify = str(self.lab / "tls.pem")
            if root:
                ticket = session.post(
                    f"{endpoint['url']}/api2/json/access/ticket",
                    data={"username": "root@pam", "password": endpoint["root_password"]},
                    timeout=10,
                ).json()["data"]
                session.cookies.set("PVEAuthCookie", ticket["ticket"])
                session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
            else:
                session.headers["Authorization"] = f"PVEAPIToken={endpoint['token_id']}={endpoint['token']}"
            answer = session.request(
                method,
                f"{endpoint['url']}/api2/json{path}",
                params=params if query else None,
                data=None if query else params,
                timeout=30,
            )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.reason}"
        return answer.json()["data"]

    def ssh(self, environment: str, address: str, command: str, expect: int | None = 0) -> str:
        """A command on a machine, by a real ssh with strict host keys."""
        options = [
            f"UserKnownHostsFile=inventories/{environment}.known_hosts",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=5",
            "BatchMode=yes",
        ]
        flags = [word for option in options for word in ("-o", option)]
        key = f"inventories/{environment}_ed25519"
        return self.inside(
            "ssh", "-F", "none", "-i", key, *flags, f"rzp@{address}", command, expect=expect, limit=60
        ).stdout


def _copy(checkout: Path, folder: Path) -> None:
    """The checkout as git sees it, with what is not committed yet, as a repository of its own."""
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (checkout / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, folder / name)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [
            "-c",
            "user.name=tests",
            "-c",
            "user.email=tests@localhost",
            "commit",
            "-qm",
            "The checkout under test",
        ],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def make_desk(checkout: Path, folder: Path) -> Desk:
    """A fresh desk below `folder`; its lab is not started."""
    project = folder / "rzp-infra"
    project.mkdir()
    _copy(checkout, project)
    cache = os.environ.get("RZP_LAB_CACHE") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rzp-infra"
    )
    variables = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(project),
        "HOME": str(folder / "home"),
        "RZP_LAB_DIR": str(folder / "lab"),
        "RZP_LAB_CACHE": cache,
        "RZP_ARGOCD_MIRROR": "http://127.0.0.1:9",  # tests ask no publisher
        "XDG_CONFIG_HOME": str(folder / "home" / ".config"),
        "LANG": "C.UTF-8",
    }
    (folder / "home").mkdir()
    kept = {name: os.environ[name] for name in ("RZP_LAB_MIRROR",) if name in os.environ}
    return Desk(project, variables | kept)


def close_desk(desk: Desk) -> None:
    """Stop the desk's lab, whatever state it is in."""
    desk.run("rzp-bootstrap", "lab", "stop", expect=None)


@pytest.fixture(scope="session")
def new_desk(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Desk]]:
    """Makes desks; their labs are stopped at the end."""
    made: list[Desk] = []

    def make() -> Desk:
        made.append(make_desk(checkout, tmp_path_factory.mktemp("desk")))
        return made[-1]

    yield make
    for desk in made:
        close_desk(desk)


@pytest.fixture(scope="module")
def desk(new_desk: Callable[[], Desk]) -> Iterator[Desk]:
    """One desk for a module: its tests build upon one another."""
    made = new_desk()
    yield made
    close_desk(made)


@pytest.fixture(autouse=True)
def _clean_variables(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No variable of the person who runs the tests reaches the code under test."""
    kept = {"RZP_PVE_RECORDINGS", "RZP_REQUIRE_E2E", "RZP_LAB_CACHE", "RZP_LAB_MIRROR"}
    if "deploys" not in request.path.parts:  # data for tests; to the deploys it is an instruction
        kept.add("RZP_ARGOCD_MANIFEST")
    for name in list(os.environ):
        if name.startswith("RZP_") and name not in kept:
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout under test."""
    return Path(__file__).parents[1]


def _cannot_boot() -> str | None:
    if sys.platform != "linux":
        return "boots machines: needs Linux"
    return None if os.geteuid() == 0 else "boots machines: needs root"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what talks to a lab, leave what is slow to `make test-all`, and skip what boots machines where none can be booted
    (in CI it fails there instead)."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow and not os.environ.get("RZP_ALL"):
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    for item in items:
        inside = item.path.relative_to(config.rootpath).parts
        if {"cli", "lab"} & set(inside) or any(n.endswith("lab") for n in getattr(item, "fixturenames", ())):
            item.add_marker("lab")
    reason = _cannot_boot()
    if reason and not os.environ.get("RZP_REQUIRE_E2E"):
        for item in items:
            if item.get_closest_marker("e2e"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped end-to-end test is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and item.get_closest_marker("e2e") and os.environ.get("RZP_REQUIRE_E2E"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid}: an end-to-end test was skipped, and RZP_REQUIRE_E2E is set: {report.longrepr}"
        )
