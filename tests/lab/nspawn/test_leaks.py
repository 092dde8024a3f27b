"""Nothing stays behind: not after a stop, not after kill -9 of any of the lab's processes."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootstrap.lab import control, process
from bootstrap.lab.machines import loop, mark
from bootstrap.lab.machines.cgroup import found

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Guest, Lab

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Host:
    """What a lab could leave on the host, as far as this lab is concerned."""

    processes: int
    mounts: int
    networks: int
    interfaces: tuple[str, ...]
    loops: int
    cgroups: int


def host(state: Path) -> Host:
    """Judged by the marks that all of a lab carries (other labs may run beside it): its folder, its control groups."""
    name = mark.of(state)
    processes = [
        pid for pid in pids() if str(state) in text(pid, "cmdline") or f"/{name}/" in text(pid, "cgroup")
    ]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return Host(
        processes=len(processes),
        mounts=len([line for line in mounts if name in line or str(state) in line]),
        networks=len({network(pid) for pid in processes} - {network(os.getpid()), ""}),
        interfaces=tuple(sorted(line.split(": ")[1] for line in links.splitlines())),
        loops=len(loop.attached(state)),
        cgroups=len(found(name)),
    )


def pids() -> list[int]:
    """All but zombies: those wait for the host's first process, and nothing of ours can make it hurry."""
    return [
        int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and not ended(folder)
    ]


def ended(folder: Path) -> bool:
    with suppress(OSError):
        return (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def text(pid: int, file: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{file}").read_text()
    return ""


def network(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return ""


def family(state: Path) -> dict[str, int]:
    """The lab's processes by role, as the host numbers them."""
    first, daemon = (one.pid for one in process.noted(state))
    container = next(pid for pid in children(daemon) if "systemd-nspawn" in text(pid, "cmdline"))
    return {"unshare": first, "daemon": daemon, "nspawn": container, "init": children(container)[-1]}


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.fixture
def before(lab: Lab) -> Host:
    """`lab` of this module is stopped: each test starts it by itself."""
    lab.stop()
    return host(lab.state)


@pytest.fixture
def running(lab: Lab, make_guest: Callable[..., Guest], until: Callable[..., bool]) -> Callable[[], None]:
    def start() -> None:
        data = lab.state / "data.raw"
        data.touch()
        os.truncate(data, 1 << 20)
        lab.start()
        make_guest(lab, 120, data=data).start()
        assert until(lambda: len(family_or_none(lab.state)) == 4)

    return start


def family_or_none(state: Path) -> dict[str, int]:
    with suppress(StopIteration, IndexError, ValueError):
        return family(state)
    return {}


def test_a_stopped_lab_leaves_nothing(lab: Lab, before: Host, running: Callable[[], None]) -> None:
    running()
    during = host(lab.state)
    assert during.processes >= 4
    assert (during.networks, during.loops) == (1, 2), "no process is in the switch's network"
    assert during.cgroups >= 1
    assert (during.mounts, during.interfaces) == (before.mounts, before.interfaces), (
        "the host sees none of it"
    )
    lab.stop()
    assert host(lab.state) == before


@pytest.mark.parametrize("victim", ["unshare", "daemon", "nspawn", "init"])
def test_a_lab_with_a_killed_process_leaves_nothing(
    lab: Lab, before: Host, running: Callable[[], None], victim: str
) -> None:
    running()
    os.kill(family(lab.state)[victim], signal.SIGKILL)
    lab.stop()
    assert host(lab.state) == before
    assert control.status(lab.state).leftovers == ()


def test_a_lab_whose_processes_are_all_killed_at_once_leaves_nothing(
    lab: Lab, before: Host, running: Callable[[], None]
) -> None:
    running()
    for pid in family(lab.state).values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lab.stop()
    assert host(lab.state) == before


def test_a_killed_lab_starts_again_and_boots_what_it_had(
    lab: Lab,
    before: Host,
    running: Callable[[], None],
    make_guest: Callable[..., Guest],
    until: Callable[..., bool],
) -> None:
    running()
    guest = make_guest(lab, 120)
    assert guest.answers()
    guest.says("sync")
    os.kill(family(lab.state)["daemon"], signal.SIGKILL)
    assert until(lambda: not control.status(lab.state).running)
    lab.start()
    assert not lab.running(120)
    guest.hardware["cdrom"] = None
    guest.start()
    assert guest.answers()
    lab.stop()
    assert host(lab.state) == before
