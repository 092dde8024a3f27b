"""What the stand-in says on stderr: lines in the shape of K3s' logs, and the banner that names the double."""

import os
import sys
import time
from typing import NoReturn

BANNER = (
    "This is the rzp-infra lab's K3s stand-in: a test double that runs no pods and no etcd. It is not K3s."
)


class Fatal(Exception):
    """The process cannot go on; printed as `level=fatal`, exit code 1."""


def log(level: str, message: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    sys.stderr.write(f'time="{stamp}" level={level} msg="{quoted}"\n')
    sys.stderr.flush()


def banner() -> None:
    sys.stderr.write(BANNER + "\n")
    sys.stderr.flush()


def die(message: str) -> NoReturn:
    """End the process from any thread."""
    log("fatal", message)
    os._exit(1)
