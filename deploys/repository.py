"""The Git repository seen from the control side: does it have what Argo CD is about to be pointed at?"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from deploys.token import secret

if TYPE_CHECKING:
    from deploys.settings import Settings

SECONDS = 30
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A helper that reads the environment keeps the password out of every argument list.
_HELPER = '!f() { echo "username=$RZP_GIT_USERNAME"; echo "password=$RZP_GIT_PASSWORD"; }; f'


def fault(settings: Settings) -> str | None:
    """Why Argo CD could not find the revision; None when it can. A bare commit can only be seen if a ref points at it."""
    gitops = settings.gitops
    command = ["git", "-c", "credential.helper="]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    if gitops.credential and gitops.repository.startswith("http"):
        command += ["-c", f"credential.helper={_HELPER}"]
        for key in ("username", "password"):
            environment[f"RZP_GIT_{key.upper()}"] = secret(settings.environment, f"gitops.{key}").reveal()
    command += ["ls-remote", "--", gitops.repository]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{gitops.repository} did not answer within {SECONDS} s; check the address and the network"
    except FileNotFoundError:
        return "git is not installed here; install it"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"{gitops.repository} cannot be read: {last}"
    if gitops.revision in _names(done.stdout) or _COMMIT.fullmatch(gitops.revision):
        return None
    return f"{gitops.repository} has no revision {gitops.revision}; push first: git push {gitops.repository} HEAD:{gitops.revision}"


def _names(listing: str) -> set[str]:
    """Refs by their full and short names, and the commits that they point at."""
    names: set[str] = set()
    for line in listing.splitlines():
        commit, _, ref = line.partition("\t")
        plain = ref.removesuffix("^{}")
        names |= {commit, plain, plain.removeprefix("refs/heads/").removeprefix("refs/tags/")}
    return names
