"""Argo CD: installed from the pinned manifest, given its secrets, then handed the repository. All of it on one server."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from pyinfra import logger
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import difference, handover, paths, repository
from deploys.facts.argocd import APPLICATIONS, CRDS, FOLLOWED, NAMESPACE, ArgoCD, ArgoCDState
from deploys.facts.cluster import items
from deploys.facts.memo import changing, forget, recall
from deploys.health import ROOT, Verdict, explained, judge, lacking
from deploys.hopes import Hopes
from deploys.published import placed
from deploys.running import Commands, Hopeless, failure, limited, remote, wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyinfra.api.command import StringCommand

    from deploys.handover import Object
    from deploys.settings import Settings

MANIFEST = "/var/lib/rancher/rzp-argocd-install.yaml"
AVAILABLE_SECONDS = 600
"""The images come from three registries."""
FOLLOWED_SECONDS = 1800
"""Every image of every component, one wave after the other."""
_LOOK_PAUSE = 5.0
_KUBECTL = f"{paths.K3S_BINARY} kubectl"


@operation()
def revision_exists(settings: Settings) -> Commands:
    """The repository has the revision; asked from the control side, and only before something is handed over."""
    if not _differing(settings, [handover.root(settings)]):
        host.noop("handed over already")
    elif fault := repository.fault(settings):
        yield failure(fault)
    else:
        host.noop(f"{settings.gitops.repository} has {settings.gitops.revision}")


@operation()
def installed(settings: Settings, seconds: float = AVAILABLE_SECONDS) -> Commands:
    """Health scripts and parameters, then the pinned manifest, applied by the server side; then all of it is up."""
    mark = handover.installed(settings)

    def look() -> str | None:
        forget(host)
        return _state(settings).missing

    due = bool(_differing(settings, [mark]))
    if not due and not _state(settings).missing:
        host.noop(f"Argo CD {settings.argocd.version} is installed and available")
        return
    if due:
        _show(settings, [mark, *handover.configuration()])
        yield from changing(host, [_apply(handover.namespace())])
        yield from changing(host, [_apply(part) for part in handover.configuration()])
        fetched = placed(
            settings.argocd, MANIFEST, 0o600, mirror="RZP_ARGOCD_MIRROR", local="RZP_ARGOCD_MANIFEST"
        )
        yield from changing(host, fetched)
        apply = _applying(handover.namespace())
        yield from changing(host, [limited(f"{apply} -f {MANIFEST} >/dev/null && rm -f {MANIFEST}", 300)])
        crds = " ".join(f"crd/{name}" for name in CRDS)
        established = f"{_KUBECTL} wait --for=condition=Established --timeout=60s {crds}"
        yield from changing(host, [limited(established, 90)])
    yield from wait(host, "Argo CD's controllers", seconds, look, _pods)
    if due:
        yield from changing(host, [_apply(mark)])


@operation()
def repository_credential(settings: Settings) -> Commands:
    """The Secret of a private repository; through stdin, and by the server side: it stands in no annotation."""
    wanted = handover.credential(settings)
    if wanted is None:
        host.noop("the repository is public")
    elif not _differing(settings, [wanted]):
        host.noop("the credential is as wanted")
    else:
        _show(settings, [wanted])
        yield from changing(host, [_apply(wanted)])


@operation()
def operator_secret(settings: Settings) -> Commands:
    """What the secrets operator starts with, in its namespace, which root brings only later."""
    wanted, space = handover.operator_secret(settings), handover.operator_namespace()
    if wanted is None:
        host.noop("no secrets operator needs one")
    elif not _differing(settings, [wanted]):
        host.noop("the secrets operator's credential is as wanted")
    else:
        due = [wanted] if space.name in _state(settings).applied else [space, wanted]
        _show(settings, due)
        yield from changing(host, [_apply(item) for item in due])


@operation()
def handed_over(settings: Settings) -> Commands:
    """The root Application: from here on the cluster follows the repository."""
    differing = _differing(settings, [handover.root(settings)])
    if not differing:
        host.noop(f"Argo CD follows {settings.gitops.repository} at {settings.gitops.revision}")
        return
    _show(settings, differing)
    yield from changing(host, [_apply(wanted) for wanted in differing])


@operation()
def followed(settings: Settings, seconds: float = FOLLOWED_SECONDS) -> Commands:
    """After the hand-over everything becomes Synced and Healthy, once; root is marked with that.

    A run that was interrupted is finished by the next one. Later a lack is a warning: a deploy is no monitor. And so is
    an app, or a store of secrets, that does not come up in time: the cluster is handed over all the same.
    """
    wanted, state = handover.root(settings).mark, _state(settings)
    due = state.followed != wanted
    if due:
        yield from _until_followed(settings, seconds)
    elif missing := lacking(state.verdicts):
        host.log(f"not Synced and Healthy: {missing}", log_func=logger.warning)
    for sentence in settings.gitops.left_out:
        host.log(f"left out: {sentence}")
    if not due:
        host.noop("everything was Synced and Healthy after the hand-over")
        return
    script = shlex.join(
        ["annotate", f"applications.argoproj.io/{ROOT}", "--overwrite", f"{FOLLOWED}={wanted}"]
    )
    yield from changing(host, [limited(f"{_KUBECTL} -n {NAMESPACE} {script} >/dev/null", 60)])


def _until_followed(settings: Settings, seconds: float) -> Commands:
    hopes, seen, calm = Hopes(), list[Verdict](), False
    ends = time.monotonic() + seconds

    def look() -> str | None:
        nonlocal calm
        done, text = remote(host, APPLICATIONS, 60)
        if not done or "{" not in text:
            return "the API does not answer"
        seen[:] = judge(items(text.splitlines(), "applications"))
        cluster = [verdict for verdict in seen if not verdict.late]
        if lost := hopes.lost(cluster):
            raise Hopeless(lost)
        missing, was_calm = lacking(seen), calm
        if missing and not lacking(cluster) and time.monotonic() >= ends:
            for line in explained(seen):
                host.log(f"  {line}", log_func=logger.warning)
            host.log(f"not Synced and Healthy within {seconds:.0f} s: {missing}", log_func=logger.warning)
            return None
        calm = missing is None
        # an ApplicationSet has no generation in its status: right after a change it still tells of the time before
        return missing if missing or was_calm else "all of it is; looking once more"

    def evidence() -> str:
        left_out = [f"left out: {sentence}" for sentence in settings.gitops.left_out]
        return "\n".join([*explained(seen), *_workloads(seen), *left_out])

    what = "everything to be Synced and Healthy"
    yield from wait(host, what, seconds, look, evidence, pause=_LOOK_PAUSE)


def _objects(settings: Settings) -> tuple[str, ...]:
    wanted = [handover.installed(settings), handover.root(settings)]
    operator = [handover.operator_namespace().name, handover.OPERATOR_NAME]
    return (
        *(item.name for item in wanted),
        *([handover.CREDENTIAL_NAME] if settings.gitops.credential else []),
        *(operator if settings.gitops.infisical else []),
    )


def _state(settings: Settings) -> ArgoCD:
    return recall(host, ArgoCDState, objects=_objects(settings))


def _differing(settings: Settings, wanted: Sequence[Object]) -> list[Object]:
    applied = _state(settings).applied
    return [item for item in wanted if applied.get(item.name) != item.mark]


def _show(settings: Settings, wanted: Sequence[Object]) -> None:
    """Before Argo CD is there nothing can be compared. The manifest never is: it is two megabytes, most of it CRDs."""
    if not difference.asked(host):
        return
    if handover.namespace().name in _state(settings).applied:
        difference.show(host, wanted)
    else:
        host.log(f"  new: {', '.join(item.name for item in wanted)}")


def _applying(wanted: Object) -> str:
    manager = f"--field-manager={wanted.manager}"
    return f"{_KUBECTL} apply --server-side --force-conflicts {manager} -n {wanted.namespace}"


def _apply(wanted: Object) -> StringCommand:
    return limited(f"{_applying(wanted)} -f - >/dev/null", 120, stdin=wanted.text)


def _pods() -> str:
    return remote(host, f"{_KUBECTL} -n {NAMESPACE} get pods,deployments,statefulsets -o wide")[1]


def _workloads(verdicts: Sequence[Verdict], most: int = 5) -> list[str]:
    """What runs where something lacks, and the last warnings: an Application tells nothing of its pods."""
    spaces = dict.fromkeys(item.namespace for item in verdicts if item.missing and item.namespace)
    lines: list[str] = []
    for space in [space for space in spaces if space != NAMESPACE][:most]:
        kubectl = f"{_KUBECTL} -n {shlex.quote(space)} get"
        warnings = f"{kubectl} events --field-selector type=Warning --sort-by=.lastTimestamp --no-headers"
        script = f"{kubectl} pods -o wide; {warnings} | tail -n 5; true"
        lines += [f"--- {space}", *remote(host, script)[1].splitlines()]
    return lines
