"""Where Proxmox VE is, and who we are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from bootstrap.config.model import Hostname, Model

_FINGERPRINT = re.compile(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")


def _fingerprint(value: str) -> str:
    if not _FINGERPRINT.match(value.upper()):
        raise ValueError(
            "is no SHA-256 fingerprint; use 32 pairs AB:CD:… (Proxmox: Node, System, Certificates)"
        )
    return value.upper()


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class Proxmox(Model):
    """Where the API is and who we are there. The secret is `proxmox.token` (or `proxmox.password`)."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    nodes: tuple[Hostname, ...] = Field(min_length=1)
    user: str = Field(default="rzp@pve", pattern=r"^[^@!\s]+@[a-z]+$")
    token_name: str | None = Field(default="infra", pattern=r"^[A-Za-z][\w.-]+$")
    fingerprint: Fingerprint | None = None
    ca_file: Path | None = None
    image_storage: str = "local"
    disk_storage: str = "local-lvm"
    parallel: int = Field(default=3, ge=1, le=16)

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
