"""Environment → kubernetes/clusters/ENV/values: a kustomize Component that puts the environment's values into an overlay."""

from __future__ import annotations

from typing import Any

from bootstrap.config.base import Environment
from bootstrap.config.software import Infisical
from bootstrap.gitops.text import replacing


def environment_object(environment: Environment) -> dict[str, Any]:
    """What overlays read; kustomize leaves an object with this annotation out of what it builds."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "rzp-environment",
            "annotations": {"config.kubernetes.io/local-config": "true"},
        },
        "data": {"environment": environment.name, "domain": environment.ingress.domain},
    }


def component(environment: Environment) -> dict[str, Any]:
    """A kustomize Component that puts the environment's values into whatever an overlay builds."""
    infisical = environment.gitops.infisical
    first, last = (environment.addresses(host) for host in environment.ingress.pool)
    pool = [f"{one}-{other}" for one, other in zip(first, last, strict=True)]
    hosts = {
        "source": {"kind": "ConfigMap", "name": "rzp-environment", "fieldPath": "data.domain"},
        "targets": [
            {
                "select": {"kind": "Ingress"},
                "fieldPaths": ["spec.rules.*.host", "spec.tls.*.hosts.*"],
                "options": {"delimiter": ".", "index": 1},
            }
        ],
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["environment.yaml"],
        "replacements": [hosts],
        "patches": [
            replacing("IPAddressPool", "default", {"/spec/addresses": pool}),
            *([_store(infisical)] if infisical else []),
        ],
    }


def _store(infisical: Infisical) -> dict[str, Any]:
    """The store of External Secrets."""
    provider = "/spec/provider/infisical"
    return replacing(
        "ClusterSecretStore",
        "infisical",
        {
            f"{provider}/hostAPI": infisical.host,
            f"{provider}/secretsScope/projectSlug": infisical.project,
            f"{provider}/secretsScope/environmentSlug": infisical.environment,
        },
    )
