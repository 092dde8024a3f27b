"""pyinfra inventories/ENV.py deploys/argocd.py: the hand-over to Argo CD alone; deploys/k3s.py ends with it."""

from pyinfra.context import host

from deploys.operations import argocd
from deploys.settings import Settings

settings = Settings.of(host.data)

if host.name == settings.first_server:
    argocd.revision_exists(name="The repository has the revision", settings=settings)
    argocd.installed(name=f"Argo CD {settings.argocd.version}", settings=settings)
    argocd.repository_credential(name="Credential of the repository", settings=settings)
    argocd.operator_secret(name="Credential of the secrets operator", settings=settings)
    argocd.handed_over(name="Hand-over to Argo CD", settings=settings)
    argocd.followed(name="Everything is Synced and Healthy", settings=settings)
