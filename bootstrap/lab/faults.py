"""Bad days on demand: rules that say which request meets which mishap. They stand in <state>/faults.json.

Any process may write them; the daemon reads the file again when it has changed, and then counts the rules anew that are new.
A request meets the first rule that applies to it; after a delay the next rules have their turn.

kind          what happens
delay         the answer comes `seconds` later
drop-before   the connection is closed, nothing has happened
drop-after    what was asked for happens, the connection is closed without an answer
status        the answer is `status` with the reason `text`; with `after`, what was asked for has happened
task-fail     the task that the request starts fails with `text`: before it does anything, at the line `step` of its log, or `after` its work
storage-full  no room for the disk, upload or download that the request brings
locked        the machine's configuration is locked, by `text` (backup)
busy          the machine's lock file is held by somebody else until the patience ends
never-boots   the machine that the request starts counts as running and never answers
node-down     a state, not an event: the node that `path` names (/nodes/pve2) cannot be reached; of the first node, the API neither
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "faults.json"
TEXTS = {
    "delay": "",
    "drop-before": "",
    "drop-after": "",
    "status": "",
    "task-fail": "the lab was told to let this task fail",
    "storage-full": "No space left on device",
    "locked": "backup",
    "busy": "",
    "never-boots": "",
    "node-down": "No route to host",
}
"""Every kind, and the text that it has when none is given."""

REASONS = {500: "Internal Server Error", 595: "Connection refused", 596: "Connection timed out"}
METHODS = ("*", "GET", "POST", "PUT", "DELETE")


@dataclass(frozen=True, kw_only=True)
class FaultRule:
    """One rule. In `path`, below /api2/json, `*` stands for a part of the path and `**` for any number of parts.

    The first `skip` requests that it fits pass, it applies to the next `count` (0: all); of these to a share of `probability`,
    drawn from `seed`, so that another run draws the same.
    """

    kind: str
    path: str
    method: str = "*"
    skip: int = 0
    count: int = 0
    seconds: float = 0.0
    status: int = 500
    text: str = ""
    after: bool = False
    step: int = 0
    probability: float = 1.0
    seed: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        if wrong := self._complaint():
            raise LabError(f"fault rule {self.method} {self.path} {self.kind}: {wrong}")

    def _complaint(self) -> str:
        if self.kind not in TEXTS:
            return f"unknown kind; there are {', '.join(TEXTS)}"
        if self.method not in METHODS:
            return f"the method is one of {' '.join(METHODS)}"
        if not self.path.startswith("/"):
            return "the path begins with / and has no /api2/json"
        if self.kind == "node-down" and (
            self.skip or self.count or not re.fullmatch(r"/nodes/[^/*]+", self.path)
        ):
            return "it takes the path /nodes/NAME, and neither skip nor count: the node is down until the rule goes"
        if min(self.skip, self.count, self.step, self.seconds) < 0 or not 0 < self.probability <= 1:
            return "numbers are not negative, a probability is above 0 and at most 1"
        return "" if 200 <= self.status <= 599 else "the status is between 200 and 599"

    @property
    def words(self) -> str:
        return self.text or (REASONS.get(self.status, "") if self.kind == "status" else TEXTS[self.kind])

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and bool(_pattern(self.path).fullmatch(path))

    def shown(self) -> dict[str, Any]:
        """What differs from the default, as the file has it."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


@cache
def _pattern(path: str) -> re.Pattern[str]:
    wild = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(wild.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", path)))


def read(state: Path) -> list[FaultRule]:
    """The rules of this lab; a LabError when the file holds something else."""
    try:
        return [FaultRule(**values) for values in json.loads((state / FILE).read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise LabError(
            f"{state / FILE} holds no fault rules ({error}); rzp-bootstrap lab fault clear"
        ) from error


def write(state: Path, rules: Iterable[FaultRule]) -> list[FaultRule]:
    """These rules and no others; each gets an id, under which it is counted and found in the request log."""
    named = [FaultRule(**{**asdict(rule), "id": rule.id or secrets.token_hex(3)}) for rule in rules]
    fresh = state / f"{FILE}.{secrets.token_hex(3)}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump([rule.shown() for rule in named], out, indent=1)
    fresh.replace(state / FILE)
    return named


def clear(state: Path) -> None:
    """No rules: from the next request on everything works again."""
    (state / FILE).unlink(missing_ok=True)
