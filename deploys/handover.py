"""What the deploy itself puts into the cluster for Argo CD: its namespace, configuration, credentials, the root Application."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deploys.facts.argocd import CONTENT, FOLLOWED, NAMESPACE
from deploys.templates import render
from deploys.token import secret

if TYPE_CHECKING:
    from deploys.settings import Settings

ROOT = "kubernetes/clusters/root.yaml.j2"
CONFIGURATION = tuple(
    f"kubernetes/core/argocd/base/{name}.yaml" for name in ("argocd-cm", "argocd-cmd-params-cm")
)
MANAGER = "rzp-infra"
OPERATOR_NAMESPACE = "external-secrets"
CREDENTIAL_NAME = f"{NAMESPACE}/secret/rzp-repository"
OPERATOR_NAME = f"{OPERATOR_NAMESPACE}/secret/infisical-credentials"


@dataclass(frozen=True, repr=False)
class Object:
    """An object that is applied as a whole; if it is `marked`, with the checksum of what was applied as an annotation.

    The mark of a Secret is keyed: from a plain checksum in an annotation, or in the output of a verbose run, a short
    password could be guessed back.
    """

    name: str
    body: dict[str, Any]
    marked: bool = True
    manager: str = MANAGER
    key: bytes = b""

    def __repr__(self) -> str:
        return f"Object({self.name})"

    @property
    def namespace(self) -> str:
        return self.name.split("/")[0]

    @property
    def is_secret(self) -> bool:
        return bool(self.body["kind"] == "Secret")

    @property
    def mark(self) -> str:
        text = json.dumps(self.body, sort_keys=True).encode()
        if self.is_secret:
            return hmac.digest(self.key, text, "sha256").hex()
        return hashlib.sha256(text).hexdigest()

    @property
    def text(self) -> str:
        """JSON for kubectl's stdin."""
        metadata = self.body["metadata"]
        annotations = metadata.get("annotations", {}) | ({CONTENT: self.mark} if self.marked else {})
        return json.dumps(self.body | {"metadata": metadata | {"annotations": annotations}}) + "\n"


def root(settings: Settings) -> Object:
    """The root Application, rendered for the environment; applying it takes back that it was followed."""
    text = render(
        ROOT,
        environment=settings.environment,
        repository=settings.gitops.repository,
        revision=settings.gitops.revision,
        path=settings.gitops.path,
    )
    body = yaml.safe_load(text)
    body["metadata"]["annotations"] = body["metadata"].get("annotations", {}) | {FOLLOWED: ""}
    return _object(body)


def configuration() -> list[Object]:
    """The health of the kind Application, without which waves between Applications do not hold, and parameters.

    Parts of ConfigMaps whose rest is in the manifest: `rzp-infra`, which applies that, would give it up, so they have a
    manager of their own. They come before the manifest, because controllers read parameters when they start. Unmarked:
    their checksum is in the mark of the installation.
    """
    return [
        _object(
            yaml.safe_load((Path.cwd() / path).read_text()), marked=False, manager=f"{MANAGER}-configuration"
        )
        for path in CONFIGURATION
    ]


def namespace() -> Object:
    """For the installation to go into, without the mark."""
    return _object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, marked=False)


def installed(settings: Settings) -> Object:
    """The Namespace, marked with the manifest and the configuration that went into it; applied when that is done."""
    metadata = {
        "name": NAMESPACE,
        "labels": {"rzp.io/argocd-version": settings.argocd.version.replace("+", "-")},
        "annotations": {
            "rzp.io/argocd-install": settings.argocd.sha256,
            "rzp.io/argocd-configuration": "-".join(part.mark[:16] for part in configuration()),
        },
    }
    return _object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def credential(settings: Settings) -> Object | None:
    """The Secret by which Argo CD reads a private repository; its URL must be the Applications' repoURL, letter by letter."""
    if not settings.gitops.credential:
        return None
    values = {"type": "git", "url": settings.gitops.repository}
    if settings.gitops.repository.startswith("http"):
        values |= {key: _reveal(settings, f"gitops.{key}") for key in ("username", "password")}
    else:
        values["sshPrivateKey"] = _reveal(settings, "gitops.ssh-key")
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    return _secret(settings, CREDENTIAL_NAME, values, labels)


def operator_namespace() -> Object:
    """The secrets operator's, where it is missing; root brings it only after the Secret has to be in it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": OPERATOR_NAMESPACE, "labels": labels}
    return _object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, marked=False)


def operator_secret(settings: Settings) -> Object | None:
    """What the secrets operator logs in to Infisical with; the ClusterSecretStore refers to it."""
    if not settings.gitops.infisical:
        return None
    names = {"clientId": "infisical.client-id", "clientSecret": "infisical.client-secret"}
    values = {key: _reveal(settings, name) for key, name in names.items()}
    return _secret(settings, OPERATOR_NAME, values, {})


def _reveal(settings: Settings, name: str) -> str:
    return secret(settings.environment, name).reveal()


def _secret(settings: Settings, name: str, values: dict[str, str], labels: dict[str, str]) -> Object:
    """The mark's key is the cluster's token: long, and known to nobody who could read the mark alone."""
    space, _, short = name.split("/")
    metadata = {"name": short, "namespace": space, "labels": labels}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    return Object(name, body, key=_reveal(settings, "k3s.token").encode())


def _object(body: dict[str, Any], *, marked: bool = True, manager: str = MANAGER) -> Object:
    group = body["apiVersion"].rpartition("/")[0]
    kind = f"{body['kind'].lower()}s.{group}" if group else body["kind"].lower()
    metadata = body["metadata"]
    space = metadata["name"] if body["kind"] == "Namespace" else metadata.get("namespace", NAMESPACE)
    return Object(f"{space}/{kind}/{metadata['name']}", body, marked, manager)
