"""The executable: `k3s --version|server|agent|kubectl`, and `kubectl` through a link."""

import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from .journal import Fatal, banner, die
from .version import VERSION

NOT_IMITATED = "stand-in: `k3s {}` is not imitated\n"


def _stop(number: int, frame: Any) -> NoReturn:
    del number, frame
    os._exit(0)  # every change is in the log file already


def _run(role: str, arguments: list[str]) -> None:
    from .settings import load

    banner()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        settings = load(role, arguments)
        if role == "server":
            from .server import Server

            Server(settings, VERSION).run()
        else:
            from .agent import Agent

            Agent(settings).run(VERSION)
    except Fatal as problem:
        die(str(problem))


def main() -> int:
    name, *arguments = sys.argv
    command = "kubectl" if Path(name).name == "kubectl" else (arguments.pop(0) if arguments else "--help")
    if command == "kubectl":
        from .kubectl import kubectl

        return kubectl(arguments, VERSION)
    if command in {"--version", "-v"}:
        python = platform.python_version()
        sys.stdout.write(f"k3s version {VERSION} (stand-in)\ngo version none (stand-in, Python {python})\n")
        return 0
    if command in {"server", "agent"}:
        _run(command, arguments)
        return 0
    sys.stderr.write(NOT_IMITATED.format(command))
    return 1
