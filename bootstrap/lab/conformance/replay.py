"""Replays recorded exchanges with a real Proxmox VE against a lab.

Images and ISOs are not part of a recording: files of the same names, sizes and formats take their places. Requests that were sent at
once are sent without waiting for one another's tasks, the one that won first.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bootstrap.lab.conformance.comparison import in_order, title
from bootstrap.lab.pve.storage import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootstrap.lab.conformance.recording import Recording
    from bootstrap.lab.conformance.wire import Answer, Wire

LONG_GAP = 9.0  # seconds: in such a pause the recorded status daemon went round
_MEETING = 0.4  # seconds that a work lasts while requests are sent at once
FIRST_ROUND = 10.0  # seconds after which it had gone round in any case


@dataclass(frozen=True, kw_only=True)
class Target:
    """What of the lab under test is no HTTP: `folder` tells where a storage's volumes are, `interval` its status daemon's period in
    seconds; `warm_up` lets that daemon run, `wake_agents` the agents in the guests; `slow_down` makes every work on a machine last
    this many seconds, so that requests sent at once meet."""

    folder: Callable[[str], Path]
    interval: float
    slow_down: Callable[[float], None]
    warm_up: Callable[[], None]
    wake_agents: Callable[[], None]


@dataclass
class _Unfinished:
    """A task, and when it had ended in the recording."""

    ended: float
    upid: str
    client: str
    answer: Answer


@dataclass
class Replay:
    """One recording against one lab. `seed_faults` says what of the seed the lab refused."""

    recording: Recording
    target: Target
    wire: Wire
    seed_faults: list[str] = field(default_factory=list)
    answers: list[list[Answer]] = field(default_factory=list)
    _unfinished: list[_Unfinished] = field(default_factory=list)

    def run(self) -> None:
        """Sends everything; the answers are kept."""
        self.wire.login()
        self._place_images()
        for step in self.recording.seed:
            self._seed(step)
        self._steps()

    def _steps(self) -> None:
        awake, last = self.recording.agent_answers_from(), 0.0
        for number, step in enumerate(self.recording.steps):
            group = in_order(step)
            begun = min(one["at_s"] for one in group)
            self._finish_until(begun)
            if begun > FIRST_ROUND:
                self.target.warm_up()
            if begun - last > LONG_GAP:
                time.sleep(self.target.interval)
            if number == awake:
                self.target.wake_agents()
            last = max(_end(one) for one in group)
            self.answers.append(self._exchange_all(group, step["client"]))
        self._finish_until(float("inf"))

    def _place_images(self) -> None:
        """Puts the images of the start state on the storages, apart from those that the seed brings. No task may show for it."""
        seeded = [
            part.get("filename")
            for step in self.recording.seed
            for part in step["request"].get("multipart", [])
        ]
        for storage, volumes in self.recording.start["storage_content"].items():
            for volume in volumes:
                name = volume["volid"].rpartition("/")[2]
                if volume["content"] in FOLDERS and name not in seeded:
                    folder = self.target.folder(storage) / FOLDERS[volume["content"]]
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(self.recording.content(name, volume["size"]))

    def _seed(self, step: dict[str, Any]) -> None:
        answer = self.wire.ask(step["request"], step["client"])
        if answer.status != step["response"]["status"]:
            self.seed_faults.append(f"{title(step)}: the seed was answered {answer.status} {answer.reason}")
        self.wire.learn(step["response"], answer)
        if upid := _upid(answer):
            self._finish(_Unfinished(0, upid, "root", answer))

    def _exchange_all(self, group: list[dict[str, Any]], client: str) -> list[Answer]:
        if len(group) == 1:
            return [self._exchange(group[0], client)]
        self.target.slow_down(_MEETING)
        with ThreadPoolExecutor(len(group)) as pool:
            sent = []
            for one in group:
                sent.append(pool.submit(self._exchange, one, client))
                time.sleep(_MEETING / 4)
            answers = [one.result() for one in sent]
        self._finish_until(max(_end(one) for one in group))
        self.target.slow_down(0)
        return answers

    def _exchange(self, step: dict[str, Any], client: str) -> Answer:
        answer = self.wire.ask(step["request"], step.get("client") or client)
        self.wire.learn(step["response"], answer)
        upid = _upid(answer)
        if upid and "task" in step:
            self._unfinished.append(_Unfinished(_end(step), upid, step["task"]["client"], answer))
        return answer

    def _finish_until(self, at_s: float) -> None:
        """Waits for the tasks that had ended by then when recorded."""
        for one in self._unfinished:
            if one.ended <= at_s:
                self._finish(one)
        self._unfinished = [one for one in self._unfinished if one.ended > at_s]

    def _finish(self, task: _Unfinished) -> None:
        """Waits for the task's end, and keeps what it said."""
        upid, answer = self.wire.there(task.upid), task.answer
        while True:
            answer.end, answer.log = self.wire.task(upid, task.client)
            data = answer.end.body.get("data") if isinstance(answer.end.body, dict) else None
            if not data or data["status"] == "stopped":
                return
            answer.running = answer.running or answer.end
            time.sleep(0.02)


def _upid(answer: Answer) -> str:
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    return data if isinstance(data, str) and data.startswith("UPID:") else ""


def _end(step: dict[str, Any]) -> float:
    """When the exchange and its task were over, in seconds."""
    polls = step.get("task", {"polls": []})["polls"]
    return float(max([step["at_s"] + step["took_s"], *(poll["at_s"] for poll in polls)]))
