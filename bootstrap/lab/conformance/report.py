"""Replays flow files, each against a fresh lab, and counts: exchanges on endpoints that the lab serves, those that match, all."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError
from bootstrap.lab.backend import Record
from bootstrap.lab.conformance.comparison import Outcome, compare
from bootstrap.lab.conformance.recording import Recording, find
from bootstrap.lab.conformance.replay import Replay, Target
from bootstrap.lab.conformance.sandbox import running_lab, served
from bootstrap.lab.conformance.wire import Wire
from bootstrap.lab.dud import Duds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bootstrap.lab.daemon import Daemon

ENOUGH = 0.95
_PACE = 0.08  # seconds that a task takes at least, so that what happens meanwhile can be seen
_INTERVAL = 0.6  # seconds between two rounds of the status daemon


@dataclass(frozen=True, kw_only=True)
class Report:
    """One file. `seed_faults` says what of its seed the lab refused."""

    name: str
    outcomes: tuple[Outcome, ...]
    seed_faults: tuple[str, ...] = ()

    @property
    def served(self) -> int:
        return sum(one.served for one in self.outcomes)

    @property
    def matched(self) -> int:
        return sum(one.served and not one.differences for one in self.outcomes)

    def lines(self) -> list[str]:
        """Every difference, and the figures."""
        found = [f"  seed: {fault}" for fault in self.seed_faults]
        for one in self.outcomes:
            if one.served and one.differences:
                found += [
                    f"  {one.number} {one.request} ({one.note})",
                    *(f"      {text}" for text in one.differences),
                ]
        return [f"{self.name}: {figures([self])}", *found]

    def data(self) -> dict[str, Any]:
        wrong = [asdict(one) for one in self.outcomes if one.served and one.differences]
        counts = {"served": self.served, "matched": self.matched, "total": len(self.outcomes)}
        return {"file": self.name, **counts, "seed_faults": list(self.seed_faults), "differences": wrong}


def figures(reports: list[Report]) -> str:
    served_, matched = sum(one.served for one in reports), sum(one.matched for one in reports)
    return f"served {served_}, matched {matched}, total {sum(len(one.outcomes) for one in reports)}"


def good_enough(reports: list[Report]) -> bool:
    served_ = sum(one.served for one in reports)
    return served_ > 0 and sum(one.matched for one in reports) >= ENOUGH * served_


def replay_all(places: Iterable[Path], told: Callable[[Report], None] = lambda _: None) -> list[Report]:
    """Replays every flow in these files and folders; `told` hears each report as it comes."""
    reports: list[Report] = []
    for file in find(places):
        reports.append(replay(Recording.load(file), file.name))
        told(reports[-1])
    return reports


def replay(recording: Recording, name: str) -> Report:
    """One flow against a lab of its own."""
    played = play(recording)
    found = compare(recording, played.answers)
    return Report(name=name, outcomes=tuple(found), seed_faults=tuple(played.seed_faults))


def play(recording: Recording) -> Replay:
    """Sends the flow to a lab of its version without machines, that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rzp-conformance-") as folder:
        state, files = Path(folder) / "lab", Path(folder) / "files"
        plan = recording.plan() | {"pace": _PACE, "statistics_interval": _INTERVAL}
        with served(files) as server, running_lab(state, plan) as (endpoint, daemon):
            for file, content in recording.served_files().items():
                (files / file).write_bytes(content)
            wire = Wire(endpoint["url"], recording, endpoint["root_password"])
            wire.exchange_files(server)
            for node in recording.start["nodes"]:
                if "ssl_fingerprint" in node:
                    wire.exchanges[node["ssl_fingerprint"]] = endpoint["fingerprint"]
            replayed = Replay(recording, _target(daemon), wire)
            replayed.run()
    return replayed


def _target(daemon: Daemon) -> Target:
    lab, backend = daemon.lab, daemon.backend.real if isinstance(daemon.backend, Duds) else None
    if lab is None or not isinstance(backend, Record):
        raise LabError("conformance: the lab did not start")

    def wake() -> None:
        backend.agents = True

    return Target(
        folder=lambda storage: lab.storages.folder(lab.nodes[0], lab.storages.get(storage)),
        interval=_INTERVAL,
        slow_down=lambda seconds: setattr(lab.machines, "slow", seconds),
        warm_up=lambda: daemon.plan.update(first_statistics=0),
        wake_agents=wake,
    )
