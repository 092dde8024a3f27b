"""The executable: `k3s --version`, `k3s server`, `k3s agent`, `k3s kubectl …`."""

import os
import platform
import signal
import sys

from .journal import Fatal, banner, die
from .version import VERSION


def _run(role: str) -> None:
    from . import agent, server
    from .settings import load

    banner()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # every change is in its file already
    try:
        (server.run if role == "server" else agent.run)(load(role))
    except Fatal as problem:
        die(str(problem))


def main() -> int:
    match sys.argv[1:]:
        case ["--version"]:
            python = platform.python_version()
            sys.stdout.write(
                f"k3s version {VERSION} (stand-in)\ngo version none (stand-in, Python {python})\n"
            )
            return 0
        case ["server" | "agent" as role]:
            _run(role)
        case ["kubectl", *words]:
            from .kubectl import kubectl

            return kubectl(words)
        case words:
            sys.stderr.write(f"stand-in: `k3s {' '.join(words)}` is not imitated\n")
    return 1
