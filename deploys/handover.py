"""What the deploy itself puts into Argo CD: the root Application, and the credential of a private repository."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from deploys.facts.argocd import CONTENT, NAMESPACE
from deploys.templates import render
from deploys.token import secret

if TYPE_CHECKING:
    from deploys.settings import Settings

ROOT = "kubernetes/clusters/root.yaml.j2"


@dataclass(frozen=True, repr=False)
class Object:
    """An object that is applied as a whole; what was applied is kept as a checksum in an annotation."""

    name: str
    body: dict[str, Any]

    def __repr__(self) -> str:
        return f"Object({self.name})"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()

    @property
    def text(self) -> str:
        """JSON for kubectl's stdin."""
        metadata = self.body["metadata"]
        annotations = metadata.get("annotations", {}) | {CONTENT: self.sha256}
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


def installed(settings: Settings) -> Object:
    """The Namespace, marked with the manifest that was installed into it; applied when that is done."""
    labels = {"rzp.io/argocd-version": settings.argocd.version.replace("+", "-")}
    marks = {"rzp.io/argocd-install": settings.argocd.sha256}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    body["metadata"] |= {"annotations": marks}  # type: ignore[operator]
    return _object(body)


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


def _object(body: dict[str, Any]) -> Object:
    group = body["apiVersion"].rpartition("/")[0]
    kind = f"{body['kind'].lower()}s.{group}" if group else body["kind"].lower()
    return Object(f"{kind}/{body['metadata']['name']}", body)
