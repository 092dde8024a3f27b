"""What Argo CD's known messages mean for the operator: the fix, and whether anything but a person can bring it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """`final`: trying again will not help, somebody has to change something."""

    fix: str
    final: bool = False


# Messages of Argo CD 3.5 (util/git, util/helm, util/argo, reposerver, gitops-engine), Helm, go-git and the API server.
_KNOWN: tuple[tuple[str, str, bool], ...] = (
    (
        r"knownhosts: key (?:is unknown|mismatch)",
        "Argo CD does not know the Git server's host key: docs/gitops.md, “A private repository”",
        True,
    ),
    (
        (
            r"authentication required|authorization failed|unable to authenticate|repository not found"
            r"|could not read Username|Permission denied \(publickey"
        ),
        "the repository is unknown or refuses the credential: check gitops.repository and the secrets gitops.*, run again",
        True,
    ),
    (
        r"unable to resolve '(?P<revision>[^']+)' to a commit SHA",
        "the repository has no revision {revision}: push it",
        True,
    ),
    (
        r"app path does not exist",
        "the folder is not in the repository at this revision: push it",
        True,
    ),
    (
        (
            r"chart '[^']+' not found in index|chart \"[^\"]+\" version \"[^\"]+\" not found"
            r"|version matching constraint not found|no chart version found"
        ),
        "compare the pin in bootstrap/config/pins.py with what the chart's repository has",
        True,
    ),
    (
        (
            r"could not find (?P<group>[\w.-]+)/(?P<kind>\w+) for requested resource"
            r'|no matches for kind "(?P<kind2>\w+)" in version "(?P<group2>[\w.-]+)/'
        ),
        "the cluster has no CRD for {kind}.{group}: an Application of an earlier wave should bring it; is that one Healthy?",
        False,
    ),
    (
        r"referencing project (?P<project>\S+) which does not exist",
        "root brings the AppProject {project} in its first wave: look at root",
        False,
    ),
    (
        r"not permitted in project '?(?P<project>[\w.-]+)|allowed destinations in project '(?P<project2>[^']+)",
        "the AppProject {project} does not allow it: allow it in the repository, kubernetes/clusters",
        False,
    ),
    (
        r"^spec\.\S+ .*(?:is|are) required",
        "the Application is not complete: correct it in the repository",
        True,
    ),
    (
        r"no such host|i/o timeout|connection refused|deadline exceeded|network is unreachable|server misbehaving",
        "it cannot be reached from the cluster: check name resolution, routes and firewall as the nodes see them",
        False,
    ),
    (
        r"^Failed last sync attempt",
        "Argo CD gave up on this revision: push a correction, or correct the cause and sync it by hand",
        True,
    ),
)


def remedy(message: str) -> Remedy | None:
    """The fix of the first one that fits; final if one of all that fit is. None where there is none."""
    known = [(re.search(pattern, message), fix, final) for pattern, fix, final in _KNOWN]
    fitting = [(found, fix, final) for found, fix, final in known if found]
    if not fitting:
        return None
    found, fix, _ = fitting[0]
    words = {name.rstrip("2"): word for name, word in found.groupdict().items() if word}
    return Remedy(fix.format(**words), any(final for _, _, final in fitting))
