"""The control verbs, on a lab without any machine switched on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootstrap.errors import LabError
from bootstrap.lab import control, enter

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.e2e


def test_a_second_start_is_a_no_op_that_says_so(lab: Lab) -> None:
    said: list[str] = []
    before = control.status(lab.state)
    lab.start(said.append)
    assert control.status(lab.state) == before
    assert said == [f"lab is already running for demo (backend nspawn, pid {before.pid})"]


def test_a_running_lab_is_not_turned_into_another_environments(lab: Lab) -> None:
    with pytest.raises(LabError, match="running for demo; stop it first"):
        lab.start(environment="staging")


def test_the_endpoint_names_the_process_as_the_host_knows_it(lab: Lab) -> None:
    endpoint = json.loads((lab.state / "endpoint.json").read_text())
    fields = Path(f"/proc/{endpoint['pid']}/stat").read_text().rpartition(")")[2].split()
    assert endpoint["started"] == int(fields[19])
    assert (lab.state / "endpoint.json").stat().st_mode & 0o777 == 0o600


def test_exec_keeps_folder_environment_input_and_exit_status(lab: Lab, tmp_path: Path) -> None:
    line = enter.command(lab.state, ["sh", "-c", 'pwd; echo "$MARK"; cat; exit 7'])
    done = subprocess.run(
        line,
        cwd=tmp_path,
        env={**os.environ, "MARK": "kept"},
        input="given",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (f"{tmp_path}\nkept\ngiven", 7)


def test_inside_there_is_the_labs_network_and_nothing_else(lab: Lab) -> None:
    links = lab.run("ip", "-br", "link").stdout.split("\n")
    assert [line.split()[0] for line in links if line] == ["lo", "vmbr0"]
    assert lab.run("ip", "route", "get", "192.0.2.1").returncode != 0
    inode = json.loads((lab.state / "endpoint.json").read_text())["netns"]
    assert lab.run("stat", "-Lc", "%i", "/proc/self/ns/net").stdout.strip() == str(inode)
    assert not enter.inside(lab.state)


@pytest.mark.parametrize("address", ["127.0.0.1:8006", "10.77.0.1:8080"])
def test_inside_the_api_and_the_files_are_listened_to(lab: Lab, address: str) -> None:
    assert address in lab.run("ss", "-Hltn").stdout


def test_two_labs_side_by_side_do_not_meet(lab: Lab, other_lab: Lab) -> None:
    assert other_lab.state != lab.state
    first, second = (one.run("stat", "-Lc", "%i", "/proc/self/ns/net").stdout for one in (lab, other_lab))
    assert first != second
    other_lab.stop()
    assert control.status(lab.state).running


def test_a_daemon_that_dies_is_reported_with_the_end_of_its_log(
    machines_can_boot: None, tmp_path: Path, plan: dict[str, object]
) -> None:
    assert machines_can_boot is None
    dying = (sys.executable, "-c", "raise SystemExit('port 8006 is taken')")
    with pytest.raises(LabError, match=r"ended before it listened; its log ends:\nport 8006 is taken"):
        control.start(plan, backend="nspawn", state=tmp_path, report=lambda _: None, daemon=dying)
    assert not control.status(tmp_path).running


def test_stop_and_reset_of_what_does_not_run_say_so(tmp_path: Path) -> None:
    said: list[str] = []
    control.stop(tmp_path, said.append)
    control.reset(tmp_path, said.append)
    assert not tmp_path.exists()
    control.stop(tmp_path, said.append)
    assert said == ["lab was not running", "lab was not running", "lab is empty", "lab is not running"]


def test_entering_a_lab_that_does_not_run_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="not running; start it: rzp-bootstrap lab start"):
        enter.command(tmp_path, ["true"])
