"""What the servers of a cluster share: who founded it and how, its members, and every object."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import write

Json = dict[str, Any]


@dataclass
class State:
    """Every server has the whole of it, in memory and in one file. Records are replaced, never changed in place."""

    founding: Json  # the CA, the critical values, the token's salted hash
    revision: int = 0
    members: dict[str, Json] = field(
        default_factory=dict
    )  # by etcd member name: node, address, learner; oldest first
    records: dict[str, Json] = field(
        default_factory=dict
    )  # `<plural>.<group>/<namespace>/<name>` → object, managers, …

    @staticmethod
    def read(path: Path) -> "State":
        return State(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        write(path, json.dumps(vars(self)))

    def draft(self) -> "State":
        """The next revision, to be changed."""
        return State(self.founding, self.revision + 1, dict(self.members), dict(self.records))

    def same(self, other: "State") -> bool:
        return self.records == other.records and self.members == other.members

    @property
    def addresses(self) -> list[str]:
        return [member["address"] for member in self.members.values()]
