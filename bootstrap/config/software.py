"""What is installed, and from where: the cloud image, K3s, Argo CD, each pinned."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

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
    url: str | None
    sha256: Sha256 | None

    def missing(self) -> list[str]:
        return [name for name, value in self if value is None]


class Image(Model):
    """A cloud image that Proxmox downloads itself, or a local file (`file`) that is uploaded."""

    filename: str = Field(pattern=r"^[a-zA-Z0-9_.-]+\.(qcow2|raw)$")
    url: str | None
    checksum_algorithm: Literal["sha256", "sha512"] = "sha512"
    checksum: str | None = Field(pattern=r"^[0-9a-f]{64,128}$")
    file: Path | None = None

    def missing(self) -> list[str]:
        source = [] if self.url or self.file else ["url"]
        return source + ([] if self.checksum else ["checksum"])


class K3s(Model):
    """The cluster. `settings` are further keys of K3s' config.yaml; the deploy checks them against K3s' own list.

    `disable`: add-ons of K3s to leave out, beside those that a component of kubernetes/ takes the place of.
    """

    pin: Pin
    disable: tuple[str, ...] = ()
    cluster_cidr: tuple[IPv4Network | IPv6Network, ...] = Field(min_length=1, max_length=2)
    service_cidr: tuple[IPv4Network | IPv6Network, ...] = Field(min_length=1, max_length=2)
    tls_san: tuple[str, ...] = ()
    settings: dict[str, str | int | bool | list[str]] = Field(default_factory=dict)

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
    project: str = Field(min_length=1)
    environment: str = Field(min_length=1)


class GitOps(Model):
    """What Argo CD watches. `credential`: the repository is private, its credential is among the secrets."""

    repository: str = Field(pattern=r"^(https?://|ssh://|git@)\S+$")
    revision: str = Field(min_length=1)
    argocd: Pin
    credential: bool = False
    infisical: Infisical | None = None

    @field_validator("repository")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if re.match(r"^\w+://[^/@]*:[^/@]*@", value):
            raise ValueError(
                "holds a password; set credential=True and put it among the secrets (gitops.password)"
            )
        return value
