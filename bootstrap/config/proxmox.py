"""Where Proxmox VE is, and who we are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from bootstrap.config.model import Hostname, Model

_FINGERPRINT = re.compile(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")


def _fingerprint(value: str) -> str:
    if not _FINGERPRINT.match(value.upper()):
        raise ValueError(
            "is no SHA-256 fingerprint; use 32 pairs AB:CD:… (Proxmox: Node, System, Certificates)"
        )
    return value.upper()


Fingerprint = Annotated[
    str, AfterValidator(_fingerprint), WithJsonSchema({"type": "string", "format": "fingerprint"})
]


class Proxmox(Model):
    """Where the API is and who we are there. The secret is `proxmox.token` (or `proxmox.password`)."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    """Addresses of the API, https://ADDRESS:8006 without a path; the first one that answers is used.
    `RZP_PROXMOX_URL` overrides it."""
    nodes: tuple[Hostname, ...] = Field(min_length=1)
    """The Proxmox nodes that machines may be placed on, by name. A pool without `nodes` is spread over them
    in turn."""
    user: str = Field(default="rzp@pve", pattern=r"^[^@!\s]+@[a-z]+$")
    """Who we are: NAME@REALM."""
    token_name: str | None = Field(default="infra", pattern=r"^[A-Za-z][\w.-]+$")
    """Name of the user's API token; its secret is `proxmox.token`. None: log in with `proxmox.password`."""
    fingerprint: Fingerprint | None = None
    """SHA-256 of the API's certificate, which is then trusted alone; for one endpoint.
    `RZP_PROXMOX_FINGERPRINT` overrides it."""
    ca_file: Path | None = None
    """Certificate of the CA that signs the API's, relative to the project. Neither this nor `fingerprint`:
    the system's CAs."""
    image_storage: str = "local"
    """Storage for the cloud image and the seeds; contents `import` and `iso`. Only at creation."""
    disk_storage: str = "local-lvm"
    """Storage for the machines' disks; content `images`. Only at creation: later `--replace NAME`."""
    parallel: int = Field(default=3, ge=1, le=16)
    """How many machines are worked on at the same time."""

    @field_validator("endpoints")
    @classmethod
    def _https(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.match(r"^https://[^/\s]+(:\d+)?$", url):
                raise ValueError(f"{url} is no endpoint; write https://ADDRESS:8006 without a path")
        return value

    @model_validator(mode="after")
    def _one_trust(self) -> Self:
        if self.fingerprint and self.ca_file:
            raise ValueError("fingerprint and ca_file are both set; keep one of them")
        if self.fingerprint and len(self.endpoints) > 1:
            raise ValueError(
                "a fingerprint is one node's, and there are several endpoints; use ca_file (pve-root-ca.pem)"
            )
        return self
