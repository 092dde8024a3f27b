"""The operations on the operating system: first boot, packages, kernel, swap."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra.api.command import FunctionCommand, PyinfraCommand

from deploys import paths
from deploys.facts.node import FileState, Node, NodeState
from deploys.operations import node
from deploys.settings import Settings

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


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
    machine.change(packages=frozenset({"curl"}))
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
    machine.change(exists=frozenset({paths.GUEST_AGENT_PORT, paths.ETCD_MEMBER}))
    assert "systemctl start qemu-guest-agent" in texts(
        carry_out(machine, node.guest_agent, settings=settings)
    )


def test_a_kernel_that_does_not_take_a_setting_is_a_failure(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    machine.change(sysctls={"net.ipv4.ip_forward": "0"})
    command, failed = carry_out(machine, node.sysctls, settings=settings)
    assert str(command) == f"sysctl -q -p {paths.SYSCTL}"
    assert isinstance(failed, FunctionCommand)
    assert "the kernel did not take net.ipv4.ip_forward" in machine.logs[-1]


def test_swap_is_turned_off_for_now_and_for_every_boot(
    machines: Machines, settings: Settings, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s1"]
    machine.change(swaps=("/swapfile",))
    text = texts(carry_out(machine, node.swap_off, settings=settings))
    assert "mask swap.target && swapoff -a" in text
    assert "/etc/fstab" in text
