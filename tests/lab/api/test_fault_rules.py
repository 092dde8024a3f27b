"""The rules of the faults: which request they meet, how often, and where it is written down."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from proxmoxer import ResourceException

from bootstrap.cli import cli
from bootstrap.errors import LabError
from bootstrap.lab import faults
from bootstrap.lab.faults import FaultRule
from bootstrap.lab.pve.requestlog import RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable

    Set = Callable[..., None]


def log(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / "requests.jsonl").read_text().splitlines()]


def test_a_rule_skips_and_counts_and_a_draw_can_be_repeated(api: Any, state: Path, fault: Set) -> None:
    def answers(number: int) -> str:
        said = ""
        for _ in range(number):
            try:
                api.version.get()
                said += "."
            except ResourceException:
                said += "x"
        return said

    fault("GET", "/version", "status", skip=2, count=3)
    assert answers(8) == "..xxx..."
    faults.write(state, [*faults.read(state), FaultRule(path="/access/**", kind="delay")])
    assert answers(2) == ".."
    drawn = []
    for seed in (1, 1, 2):
        fault("GET", "/version", "status", probability=0.5, seed=seed)
        drawn.append(answers(40))
    assert drawn[0] == drawn[1] != drawn[2]
    assert 0 < drawn[0].count("x") < 40


def test_the_request_log_names_what_was_asked_and_no_value(api: Any, state: Path, fault: Set) -> None:
    fault("GET", "/version", "status", count=1)
    with pytest.raises(ResourceException):
        api.version.get()
    upid = api.nodes("pve1").qemu.post(vmid=120, name="hunter2", description="secret")
    first, second = log(state)
    assert (first["path"], first["status"]) == ("/api2/json/version", 500)
    assert first["faults"] == [f"{faults.read(state)[0].id} status"]
    assert (second["method"], second["upid"]) == ("POST", upid)
    assert second["params"] == ["description", "name", "vmid"]
    assert second["client"].startswith("127.0.0.1:")
    text = (state / "requests.jsonl").read_text()
    assert "hunter2" not in text
    assert "secret" not in text
    assert "PVEAPIToken" not in text
    assert stat.S_IMODE((state / "requests.jsonl").stat().st_mode) == 0o600


def test_the_request_log_begins_anew_when_it_is_large(tmp_path: Path) -> None:
    kept = RequestLog(tmp_path, largest=100)
    for _ in range(3):
        kept._append(b"x" * 60 + b"\n")
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {
        "requests.jsonl.1": 122,
        "requests.jsonl": 61,
    }


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "fire", "path": "/version"}, "unknown kind"),
        ({"kind": "delay", "path": "version"}, "begins with /"),
        ({"kind": "delay", "path": "/version", "method": "get"}, "the method is one of"),
        ({"kind": "node-down", "path": "/nodes/*"}, "it takes the path /nodes/NAME"),
        ({"kind": "status", "path": "/version", "status": 42}, "between 200 and 599"),
        ({"kind": "delay", "path": "/version", "probability": 2}, "at most 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(LabError, match=told):
        FaultRule(**values)


def test_a_file_that_holds_no_rules_is_told_to_whoever_asks(api: Any, state: Path) -> None:
    (state / faults.FILE).write_text('[{"kind": "delay"')
    with pytest.raises(ResourceException, match="holds no fault rules"):
        api.version.get()


def test_the_command_line_sets_lists_and_clears_rules(
    lab: dict[str, Any], api: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lab
    monkeypatch.setenv("RZP_LAB_DIR", str(state))
    (state / "plan.json").write_text("{}")

    def run(*words: str) -> str:
        return CliRunner().invoke(cli, ["lab", "fault", *words], catch_exceptions=False).output

    assert "is set" in run("add", "GET", "/version", "status", "--status", "596", "--count", "1")
    assert "GET /version status count=1 status=596" in run("list")
    assert json.loads(run("list", "--json"))[0]["kind"] == "status"
    with pytest.raises(ResourceException, match="596"):
        api.version.get()
    assert run("clear") == "no faults are set\n"
    assert run("list") == "no faults are set\n"
