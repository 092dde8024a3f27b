"""rzp-bootstrap status at a lab without machines: no cluster yet, none that can be reached, and how a whole one looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.cli.status import show
from bootstrap.kubernetes.applications import Application
from bootstrap.kubernetes.nodes import Node
from bootstrap.status import Row, Status

UP = ("rzp-bootstrap", "demo", "-y", "--no-wait")


def test_before_the_deploy_it_says_where_a_cluster_would_come_from(empty: Any) -> None:
    empty.run(*UP)

    found = json.loads(empty.run("rzp-bootstrap", "status", "demo", "--json").stdout)

    assert [(row["name"], row["state"]) for row in found["machines"]] == [
        ("demo-server-1", "unfinished"),
        ("demo-agent-1", "unfinished"),
        ("demo-agent-2", "unfinished"),
    ]
    (left_out,) = found["left_out"]
    assert left_out.startswith("platform/secret-store: demo names no Infisical")
    assert (found["nodes"], found["applications"], found["problems"]) == (
        None,
        None,
        [],
    )
    assert found["notes"] == [
        "no inventories/demo.kubeconfig yet; it comes with: pyinfra inventories/demo.py deploys/k3s.py"
    ]
    said = empty.run("rzp-bootstrap", "status", "demo").stdout
    assert said.splitlines()[-1] == f"  i {found['notes'][0]}"


@pytest.fixture
def kubeconfig(empty: Any) -> Iterator[Path]:
    """One that cannot be read, in its place."""
    path = Path(empty.folder, "inventories/demo.kubeconfig")
    path.write_text("{}")
    yield path
    path.unlink()


def test_it_asks_no_cluster_whose_servers_are_not_there(empty: Any, kubeconfig: Path) -> None:
    assert kubeconfig.exists()
    said = empty.run("rzp-bootstrap", "status", "demo").stdout

    assert said.splitlines()[-1] == "  i no server is on, so the Kubernetes API was not asked"


def test_it_shows_what_it_can_and_exits_1_when_something_cannot_be_asked(
    empty: Any, kubeconfig: Path
) -> None:
    assert kubeconfig.exists()
    gone = {"RZP_PROXMOX_URL": "https://127.0.0.1:9"}
    said = empty.run("rzp-bootstrap", "status", "demo", expect=1, **gone).stdout

    assert said.count("unknown") == 3
    assert "x https://127.0.0.1:9: Proxmox is not reached (" in said
    assert "x demo: this lab runs without machines" in said
    assert said.splitlines()[-1] == "Error: demo: 2 part(s) could not be asked (above)"


def test_without_machines_they_are_missing(empty: Any) -> None:
    found = json.loads(empty.run("rzp-bootstrap", "status", "demo", "--json").stdout)

    assert {row["state"] for row in found["machines"]} == {"missing"}


def test_every_table_and_sentence_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    reason = f"Failed to load target state: {'rpc error: ' * 20}authentication required"
    app = Application(name="whoami", project="apps", sync="Unknown", health="Healthy", detail=reason)
    node = Node(name="demo-server-1", role="server", state="Ready", version="v1.36.4+k3s1", pinned=True)
    row = Row(
        name="demo-server-1", role="server", vmid=920, node="pve1", address="10.77.0.20", state="running"
    )
    show(
        Status(
            machines=[row],
            nodes=[node],
            applications=[app],
            left_out=["core/longhorn: no sha256"],
            notes=["a note"],
            problems=["a problem"],
        )
    )

    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert said == [
        "machine        role    VMID  node  address     state",
        "demo-server-1  server  920   pve1  10.77.0.20  running",
        "",
        "K3s node       role    state  version",
        "demo-server-1  server  Ready  v1.36.4+k3s1",
        "",
        "application  project  sync     health",
        "whoami       apps     Unknown  Healthy",
        f"  ! whoami: {reason[:80]} … {reason[-160:]}",
        "",
        "  - left out: core/longhorn: no sha256",
        "  i a note",
        "  x a problem",
    ]
