"""What is installed, and from where: the cloud image, K3s, Argo CD, each pinned."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from bootstrap.config.model import Model

# Keys of K3s that this project writes itself (facts: K3s configuration); they are not free for `settings`.
_OWN_K3S_KEYS = frozenset(
    "token token-file agent-token agent-token-file server cluster-init node-name node-ip node-label node-taint tls-san"
    " disable cluster-cidr service-cidr".split()
)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pin(Model):
    """A published file: version, URL, checksum. `None` is "not known": refused where it is needed."""

    version: str | None
    """The release, as its publisher names it."""
    url: str | None
    """Where it is downloaded."""
    sha256: Sha256 | None
    """Checksum of the file; another one is refused."""

    def missing(self) -> list[str]:
        return [name for name, value in self if value is None]


class Image(Model):
    """The cloud image."""

    filename: str = Field(pattern=r"^[a-zA-Z0-9_.-]+\.(qcow2|raw)$")
    """Its name on the image storage. Machines that are there keep the image that they were made from."""
    url: str | None
    """Where Proxmox downloads it; none: `file` is uploaded."""
    checksum_algorithm: Literal["sha256", "sha512"] = "sha512"
    """What `checksum` is."""
    checksum: str | None = Field(pattern=r"^[0-9a-f]{64,128}$")
    """Checksum that Proxmox, or the upload, must arrive at."""
    file: Path | None = None
    """A local image that is uploaded instead of downloaded."""

    def missing(self) -> list[str]:
        source = [] if self.url or self.file else ["url"]
        return source + ([] if self.checksum else ["checksum"])


class K3s(Model):
    """The cluster. What it writes into K3s' configuration itself is refused in `settings`."""

    pin: Pin
    """The release. Another one: the next deploy restarts K3s, one server after the other."""
    disable: tuple[str, ...] = ()
    """Add-ons of K3s that are left out, beside those that a component of `kubernetes/` takes the place of. A change restarts
    the servers' K3s, one after the other."""
    cluster_cidr: tuple[IPv4Network | IPv6Network, ...] = Field(min_length=1, max_length=2)
    """Networks of the pods, one per family of the machines, IPv4 first. Never changed later."""
    service_cidr: tuple[IPv4Network | IPv6Network, ...] = Field(min_length=1, max_length=2)
    """Networks of the services, one per family of the machines, IPv4 first. Never changed later."""
    tls_san: tuple[str, ...] = ()
    """Further names and addresses in the API server's certificate. A change restarts the servers' K3s, one
    after the other."""
    settings: dict[str, str | int | bool | list[str]] = Field(default_factory=dict)
    """Further keys of K3s' config.yaml on every node; the deploy checks their names. A change restarts K3s,
    one server after the other."""

    @field_validator("settings")
    @classmethod
    def _free(cls, value: dict[str, str | int | bool | list[str]]) -> dict[str, str | int | bool | list[str]]:
        for key in sorted(_OWN_K3S_KEYS & value.keys()):
            raise ValueError(f"{key} is written by this project itself; remove it from settings")
        return value


class Chart(Model):
    """A Helm chart. `sha256` is the digest of its archive, as the repository's index.yaml names it."""

    repository: str = Field(pattern=r"^https://\S+[^/\s]$")
    name: str
    version: str | None
    sha256: Sha256 | None

    def missing(self) -> list[str]:
        return [name for name, value in self if value is None]


class Infisical(Model):
    """Where External Secrets reads. Its machine identity is the secrets `infisical.client-id` and `infisical.client-secret`."""

    host: str = Field(pattern=r"^https://[^/\s]+$")
    """Address of the Infisical server, without a path; on port 443, the one that the network policy lets out."""
    project: str = Field(min_length=1)
    """The project's slug there."""
    environment: str = Field(min_length=1)
    """The environment's slug there."""

    @field_validator("host")
    @classmethod
    def _https(cls, value: str) -> str:
        if urlsplit(value).port not in (None, 443):
            raise ValueError(
                "is on a port that kubernetes/policies/operator/allow-api.yaml does not let out; serve it on 443"
            )
        return value


class GitOps(Model):
    """What Argo CD watches."""

    repository: str = Field(pattern=r"^(https?://|ssh://|git@)\S+$")
    """The Git repository with `kubernetes/`: https://, ssh:// or git@; without a password. The next deploy
    tells Argo CD."""
    revision: str = Field(min_length=1)
    """Branch, tag or commit that the cluster follows. The next deploy tells Argo CD."""
    argocd: Pin
    """Argo CD's install manifest. Another one is applied by the next deploy."""
    credential: bool = False
    """The repository is private: the secrets `gitops.username` and `gitops.password`, or `gitops.ssh-key`."""
    infisical: Infisical | None = None
    """Where External Secrets reads the applications' secrets; none: its store is left out."""

    @field_validator("repository")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if re.match(r"^\w+://[^/@]*:[^/@]*@", value):
            raise ValueError(
                "holds a password; set credential=True and put it among the secrets (gitops.password)"
            )
        return value
