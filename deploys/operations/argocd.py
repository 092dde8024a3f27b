"""Argo CD: installed from the pinned manifest, then handed the repository. All of it on one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import handover, paths, repository
from deploys.facts.argocd import CRDS, NAMESPACE, ArgoCD, ArgoCDState
from deploys.facts.memo import changing, forget, recall
from deploys.published import placed
from deploys.running import Commands, failure, limited, remote, wait

if TYPE_CHECKING:
    from pyinfra.api.command import StringCommand

    from deploys.handover import Object
    from deploys.settings import Settings

MANIFEST = "/var/lib/rancher/rzp-argocd-install.yaml"
AVAILABLE_SECONDS = 600
"""The images come from three registries."""
_APPLY = f"{paths.K3S_BINARY} kubectl apply --server-side --force-conflicts --field-manager=rzp-infra -n {NAMESPACE}"


@operation()
def revision_exists(settings: Settings) -> Commands:
    """The repository has the revision; asked from the control side, and only before something is handed over."""
    if not _differing(settings, handover.root(settings)):
        host.noop("handed over already")
    elif fault := repository.fault(settings):
        yield failure(fault)
    else:
        host.noop(f"{settings.gitops.repository} has {settings.gitops.revision}")


@operation()
def installed(settings: Settings) -> Commands:
    """The pinned manifest, applied by the server side under our own field manager; then CRDs and controllers are up."""
    mark = handover.installed(settings)

    def look() -> str | None:
        forget(host)
        return _state(settings).missing

    due = bool(_differing(settings, [mark]))
    if not due and not _state(settings).missing:
        host.noop(f"Argo CD {settings.argocd.version} is installed and available")
        return
    if due:
        yield from changing(host, [_apply(handover.namespace())])
        fetched = placed(
            settings.argocd, MANIFEST, 0o600, mirror="RZP_ARGOCD_MIRROR", local="RZP_ARGOCD_MANIFEST"
        )
        yield from changing(host, fetched)
        yield from changing(host, [limited(f"{_APPLY} -f {MANIFEST} >/dev/null && rm -f {MANIFEST}", 300)])
        crds = " ".join(f"crd/{name}" for name in CRDS)
        established = f"{paths.K3S_BINARY} kubectl wait --for=condition=Established --timeout=60s {crds}"
        yield from changing(host, [limited(established, 90)])
    yield from wait(host, "Argo CD's controllers", AVAILABLE_SECONDS, look, _pods)
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
        yield from changing(host, [_apply(wanted)])


@operation()
def projects(settings: Settings) -> Commands:
    """The layers' AppProjects are there before the first Application; what is in them is root's."""
    missing = [item for item in handover.projects(settings) if item.name not in _state(settings).applied]
    if not missing:
        host.noop("the AppProjects are there")
    yield from changing(host, [_apply(wanted) for wanted in missing])


@operation()
def handed_over(settings: Settings) -> Commands:
    """The root Application: from here on the cluster follows the repository."""
    differing = _differing(settings, handover.root(settings))
    if not differing:
        host.noop(f"Argo CD follows {settings.gitops.repository} at {settings.gitops.revision}")
    yield from changing(host, [_apply(wanted) for wanted in differing])


def _objects(settings: Settings) -> tuple[str, ...]:
    wanted = [handover.installed(settings), *handover.projects(settings), *handover.root(settings)]
    secrets = ["secret/rzp-repository"] if settings.gitops.credential else []
    return (*(item.name for item in wanted), *secrets)


def _state(settings: Settings) -> ArgoCD:
    return recall(host, ArgoCDState, objects=_objects(settings))


def _differing(settings: Settings, wanted: list[Object]) -> list[Object]:
    applied = _state(settings).applied
    return [item for item in wanted if applied.get(item.name) != item.sha256]


def _apply(wanted: Object) -> StringCommand:
    return limited(f"{_APPLY} -f - >/dev/null", 120, stdin=wanted.text)


def _pods() -> str:
    kubectl = f"{paths.K3S_BINARY} kubectl -n {NAMESPACE}"
    return remote(host, f"{kubectl} get pods,deployments,statefulsets -o wide")[1]
