"""What the deploy itself puts into Argo CD: a private repository's credential, the AppProjects, the root Application."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deploys.facts.argocd import CONTENT, NAMESPACE
from deploys.templates import render
from deploys.token import secret

if TYPE_CHECKING:
    from deploys.settings import Settings

ROOT = "kubernetes/clusters/root.yaml.j2"
PROJECTS = "kubernetes/clusters/base/projects.yaml"


@dataclass(frozen=True, repr=False)
class Object:
    """An object that is applied as a whole; if it is `marked`, with the checksum of what was applied as an annotation."""

    name: str
    body: dict[str, Any]
    marked: bool = True

    def __repr__(self) -> str:
        return f"Object({self.name})"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()

    @property
    def text(self) -> str:
        """JSON for kubectl's stdin."""
        metadata = self.body["metadata"]
        annotations = metadata.get("annotations", {}) | ({CONTENT: self.sha256} if self.marked else {})
        return json.dumps(self.body | {"metadata": metadata | {"annotations": annotations}}) + "\n"


def root(settings: Settings) -> list[Object]:
    """The root Application (and whatever else the template holds), rendered for the environment."""
    text = render(
        ROOT,
        environment=settings.environment,
        repository=settings.gitops.repository,
        revision=settings.gitops.revision,
        path=settings.gitops.path,
    )
    return [_object(body) for body in yaml.safe_load_all(text) if body]


def projects(settings: Settings) -> list[Object]:
    """The layers' AppProjects as root syncs them. Unmarked: once they are there they are root's."""
    bodies = [body for body in yaml.safe_load_all((Path.cwd() / PROJECTS).read_text()) if body]
    for body in bodies:
        body["spec"]["sourceRepos"][0] = settings.gitops.repository
    return [_object(body, marked=False) for body in bodies]


def namespace() -> Object:
    """For the installation to go into, without the mark."""
    return _object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, marked=False)


def installed(settings: Settings) -> Object:
    """The Namespace, marked with the manifest that was installed into it; applied when that is done."""
    metadata = {
        "name": NAMESPACE,
        "labels": {"rzp.io/argocd-version": settings.argocd.version.replace("+", "-")},
        "annotations": {"rzp.io/argocd-install": settings.argocd.sha256},
    }
    return _object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def credential(settings: Settings) -> Object | None:
    """The Secret by which Argo CD reads a private repository; its URL must be the Applications' repoURL, letter by letter."""
    if not settings.gitops.credential:
        return None
    values = {"type": "git", "url": settings.gitops.repository}
    if settings.gitops.repository.startswith("http"):
        values |= {
            key: secret(settings.environment, f"gitops.{key}").reveal() for key in ("username", "password")
        }
    else:
        values["sshPrivateKey"] = secret(settings.environment, "gitops.ssh-key").reveal()
    metadata = {
        "name": "rzp-repository",
        "namespace": NAMESPACE,
        "labels": {"argocd.argoproj.io/secret-type": "repository"},
    }
    return _object({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


def _object(body: dict[str, Any], *, marked: bool = True) -> Object:
    group = body["apiVersion"].rpartition("/")[0]
    kind = f"{body['kind'].lower()}s.{group}" if group else body["kind"].lower()
    return Object(f"{kind}/{body['metadata']['name']}", body, marked)
