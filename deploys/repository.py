"""The Git repository as Argo CD will see it: has it the revision? Asked from the control side, by the same credential."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deploys.token import secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploys.settings import Settings

SECONDS = 60
"""For one question; a commit that no ref points at takes two or three."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A helper that reads the environment keeps the password out of every argument list.
_HELPER = '!f() { echo "username=$RZP_GIT_USERNAME"; echo "password=$RZP_GIT_PASSWORD"; }; f'
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15"


class Unreadable(Exception):
    """Git failed; what it says, but for the advice in the paragraph below."""


def fault(settings: Settings) -> str | None:
    """Why Argo CD could not find the revision, in one line; None when it can."""
    repository, revision = settings.gitops.repository, settings.gitops.revision
    commit = _COMMIT.fullmatch(revision)
    try:
        with _git(settings) as git:
            if revision in _names(git("ls-remote", "--", repository)):
                return None
            if commit and _has(git, repository, revision):
                return None
    except subprocess.TimeoutExpired:
        return f"{repository} did not answer within {SECONDS} s; check the address and the network"
    except FileNotFoundError:
        return "git is not installed here; install it"
    except Unreadable as error:
        return f"{repository} cannot be read: {error}"
    what = "HEAD" if commit else f"HEAD:{revision}"
    return f"{repository} has no revision {revision}; push first: git push {repository} {what}"


def _has(git: Callable[..., str], repository: str, commit: str) -> bool:
    """Whether the repository hands out a commit that no ref points at: by itself, or, where that is refused, with all."""
    git("init", "-q", "--bare")
    everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    for words in (("--depth=1", "--no-tags", "--", repository, commit), ("--", repository, *everything)):
        with suppress(Unreadable):
            git("fetch", "-q", *words)
            git("cat-file", "-e", f"{commit}^{{commit}}")
            return True
    return False


@contextmanager
def _git(settings: Settings) -> Iterator[Callable[..., str]]:
    """Git with the environment's credential and no other: the operator's own helpers and keys are not Argo CD's."""
    with TemporaryDirectory(prefix="rzp-git-") as folder:
        options, environment = _access(settings, Path(folder, "key"))
        work = Path(folder, "work")
        work.mkdir()

        def git(*words: str) -> str:
            command = ["git", "-C", str(work), *options, *words]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            if done.returncode:
                raise Unreadable(" ".join(done.stderr.split("\n\n")[0].split()) or "no message")
            return done.stdout

        yield git


def _access(settings: Settings, key: Path) -> tuple[list[str], dict[str, str]]:
    """Options and environment of git; `key` is written where one is needed."""
    # no question at the terminal, nor in the window of an editor
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_SSH_COMMAND": _SSH}
    options = ["-c", "credential.helper="]
    if settings.gitops.credential and settings.gitops.repository.startswith("http"):
        options += ["-c", f"credential.helper={_HELPER}"]
        for name in ("username", "password"):
            value = secret(settings.environment, f"gitops.{name}")
            environment[f"RZP_GIT_{name.upper()}"] = value.reveal()
    elif settings.gitops.credential:
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secret(settings.environment, "gitops.ssh-key").reveal().rstrip() + "\n")
        only = f"-F none -o IdentitiesOnly=yes -o IdentityAgent=none -i {shlex.quote(str(key))}"
        environment["GIT_SSH_COMMAND"] = f"{_SSH} {only}"
    return options, environment


def _names(listing: str) -> set[str]:
    """Refs by their full and short names, and the commits that they point at."""
    names: set[str] = set()
    for line in listing.splitlines():
        commit, _, ref = line.partition("\t")
        plain = ref.removesuffix("^{}")
        names |= {commit, plain, plain.removeprefix("refs/heads/").removeprefix("refs/tags/")}
    return names
