"""A host that answers from values, and the run that it belongs to: doubles of pyinfra's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api.command import StringCommand

from deploys.facts.node import NodeState

Answers = dict[type, Callable[[], Any]]


@dataclass
class Run:
    """The run that hosts belong to; compared by identity, as pyinfra's state is."""

    is_executing: bool = True
    DIFF: bool = False
    planned: bool = True

    @property
    def config(self) -> Run:
        return self

    def should_check_for_changes(self) -> bool:
        return self.planned

    __hash__ = object.__hash__


@dataclass
class Machine:
    """A host whose facts are values, and which records what is said and run."""

    name: str
    state: Run
    answers: Answers
    inventory: Machines | None = None
    connected: bool = True
    asked: list[str] = field(default_factory=list)
    noops: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    shell: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    replies: dict[str, list[str] | Iterator[list[str]]] = field(default_factory=dict)

    def change(self, **fields: Any) -> None:
        """It answers as before, but for these fields of its state."""
        before = self.answers[NodeState]
        self.answers[NodeState] = lambda: dataclasses.replace(before(), **fields)

    def change_file(self, path: str, **fields: Any) -> None:
        found = self.answers[NodeState]()
        self.change(files={**found.files, path: dataclasses.replace(found.files[path], **fields)})

    def get_fact(self, fact: type, **_: object) -> Any:
        self.asked.append(fact.__name__)
        return self.answers[fact]()

    def noop(self, text: str) -> None:
        self.noops.append(text)

    def log(self, text: str, **_: object) -> None:
        self.logs.append(text)

    log_styled = log

    def connect(self, **_: object) -> None:
        raise TimeoutError("no route to host")

    def run_shell_command(self, command: StringCommand, **arguments: object) -> tuple[bool, Any]:
        text = command.get_raw_value()
        self.shell.append(text)
        self.sent.append(str(arguments.get("_stdin") or ""))
        lines = next((lines for part, lines in self.replies.items() if part in text), [])
        lines = lines if isinstance(lines, list) else next(lines)
        return True, type("Output", (), {"stdout": "\n".join(lines), "output": "\n".join(lines)})()


class Machines(dict[str, Machine]):
    """The inventory."""

    def get_host(self, name: str) -> Machine:
        return self[name]
