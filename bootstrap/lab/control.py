"""The lab's control verbs: start, stop, status, reset, logs. They work on processes and files, not through the API.

Whatever was killed, and in whatever order, `stop` leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError
from bootstrap.lab import capability, condition, launch, process, supply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bootstrap.lab.condition import Status
    from bootstrap.lab.process import Process

DAEMON = (sys.executable, "-m", "bootstrap.lab.daemon")
READY, CLOSED, GONE = 30.0, 30.0, 5.0
"""Seconds: until the daemon listens, until it has shut down, until the killed is gone."""


def start(
    plan: Mapping[str, Any],
    *,
    backend: str,
    state: Path,
    report: Callable[[str], None],
    daemon: Sequence[str] = DAEMON,
) -> Status:
    """Start the daemon and return when it listens. A lab that is running already is left alone."""
    _check_path(state)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state):
        if (already := condition.read(state)).running:
            return _already(already, plan, report)
        launch.end(process.noted(state), patience=0, after_kill=GONE)
        choice = capability.choose(backend)
        report(f"lab backend: {choice.backend} ({choice.reason})")
        _clean(state)
        if choice.backend == "nspawn":
            from bootstrap.lab.machines import image  # Linux only

            image.ensure(report)
        software = supply.gather(plan.get("pins", {}), report)
        write = {**plan, "backend": choice.backend, "reason": choice.reason, "software": software}
        (state / "plan.json").write_text(json.dumps(write, indent=2))
        launched = launch.detached([*daemon, str(state)], state=state, namespaces=choice.backend == "nspawn")
        process.note(state, launched)
        _await_endpoint(state, launched)
        _name_process(state, launched[0])
    now = condition.read(state)
    report(f"lab is running for {now.environment}" + (f" at {now.url}" if now.url else ""))
    return now


def stop(state: Path, report: Callable[[str], None]) -> None:
    """Stop the daemon, by force if need be, and remove whatever it left. Machines' disks and the API's state stay."""
    if not state.is_dir():
        report("lab is not running")
        return
    with _locked(state):
        running = process.alive(state)
        launch.end(process.noted(state), patience=CLOSED, after_kill=GONE)
        removed = _clean(state)
        (state / process.FILE).unlink(missing_ok=True)
    for line in removed:
        report(f"removed {line}")
    report("lab stopped" if running else "lab was not running")


def reset(state: Path, report: Callable[[str], None]) -> None:
    """Stop, and forget everything: VMs, disks, uploads, tokens."""
    stop(state, report)
    if state.is_dir():
        shutil.rmtree(state)
    report("lab is empty")


def status(state: Path) -> Status:
    """What runs at this moment."""
    return condition.read(state)


def logs(state: Path, machine: int | None = None, lines: int = 200) -> list[str]:
    """The end of the daemon's log, or of a machine's console."""
    file = state / "daemon.log" if machine is None else state / "machines" / str(machine) / "console.log"
    if not file.exists():
        raise LabError(f"no log {file}" + (": that machine was never switched on" if machine else ""))
    return file.read_text(errors="replace").splitlines()[-lines:]


def _already(now: Status, plan: Mapping[str, Any], report: Callable[[str], None]) -> Status:
    if now.environment not in {"", plan["environment"]}:
        raise LabError(f"the lab is running for {now.environment}; stop it first: rzp-bootstrap lab stop")
    report(f"lab is already running for {now.environment} (backend {now.backend}, pid {now.pid})")
    return now


def _await_endpoint(state: Path, launched: list[Process]) -> None:
    deadline = time.monotonic() + READY
    while not (state / "endpoint.json").exists():
        ended = not process.alive(state)
        if ended or time.monotonic() > deadline:
            said = "ended before it listened" if ended else f"does not listen after {READY:.0f} s"
            launch.end(launched, patience=0, after_kill=GONE)
            _clean(state)
            raise LabError("\n".join([f"the lab's daemon {said}; its log ends:", *logs(state, lines=12)]))
        time.sleep(0.02)


def _name_process(state: Path, first: Process) -> None:
    """The daemon is number 1 in a namespace of its own; only who started it knows what it is called outside."""
    file = state / "endpoint.json"
    endpoint = json.loads(file.read_text()) | {"pid": first.pid, "started": first.started}
    fresh = state / "endpoint.json.named"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(endpoint, indent=2))
    fresh.replace(file)


def _clean(state: Path) -> list[str]:
    (state / "endpoint.json").unlink(missing_ok=True)
    found = condition.leftovers(state)
    if found:
        from bootstrap.lab.machines import cleanup  # Linux only

        cleanup.remove(state)
    return found


def _check_path(state: Path) -> None:
    if bad := sorted(set(str(state.resolve())) & set(":,\\\n")):
        raise LabError(
            f"{state}: {bad[0]!r} cannot be part of a mount option; set RZP_LAB_DIR to another folder"
        )


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """One start or stop at a time. The lock goes with the process that holds it."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError("another lab start or stop is under way; wait for it") from error
        yield
