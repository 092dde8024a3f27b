"""A file as it should be, and the one command that makes it so: atomic, never readable by others, content on stdin."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pyinfra.api.command import QuoteString, StringCommand

if TYPE_CHECKING:
    from pyinfra.api.host import Host

    from deploys.facts.node import Node


@dataclass(frozen=True)
class File:
    """A text file of root's. The text of a `secret` one appears nowhere: no diff, no argument list, no /tmp."""

    path: str
    text: str
    mode: int = 0o644
    secret: bool = False

    def __repr__(self) -> str:
        return f"File({self.path})"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def differs(self, node: Node) -> bool:
        found = node.files.get(self.path)
        return found is None or (found.sha256, found.mode, found.owner) != (self.sha256, self.mode, "root")

    def show(self, host: Host, node: Node) -> None:
        """Under `--diff`, what would change; pyinfra does that for its own file operations."""
        if self.secret or not host.state.config.DIFF:
            return
        before = (node.text(self.path) or "").splitlines()
        names = (f"{self.path} (now)", f"{self.path} (wanted)")
        for line in difflib.unified_diff(before, self.text.splitlines(), *names, lineterm="", n=2):
            host.log(f"  {line}")

    def write(self) -> StringCommand:
        """A temporary file in the same folder, created 0600; its length is checked, then it takes the place."""
        folder = QuoteString(str(PurePosixPath(self.path).parent))
        new, path = QuoteString(f"{self.path}.rzp-new"), QuoteString(self.path)
        return StringCommand(
            *("umask 022 && mkdir -p", folder, "&& umask 077 && rm -f", new, "&& cat >", new),
            # a broken connection looks like the end of the text
            *("&& test", '"$(wc -c <', new, ')"', "-eq", str(len(self.text.encode()))),
            *("&& chmod", f"{self.mode:o}", new, "&& mv -f", new, path),
            _stdin=self.text,
        )
