"""How the cluster's applications are reached: the domain of their names, and the addresses of their load balancers."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bootstrap.config.model import Model

_DOMAIN = re.compile(r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def _domain(value: str) -> str:
    if not _DOMAIN.match(value) or len(value) > 190:
        raise ValueError("is no domain; write lower-case labels with dots, like k3s.home.arpa")
    return value


class Ingress(Model):
    """How the cluster's applications are reached."""

    domain: Annotated[str, AfterValidator(_domain)]
    """An application NAME is reached as NAME.DOMAIN; point *.DOMAIN at the ingress controller's address in your DNS."""
    pool: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """First and last host number, in the machines' networks, of the addresses of load balancers; no more than 256, and none
    of a machine's."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.pool[0] > self.pool[1]:
            raise ValueError(f"pool {self.pool[0]}-{self.pool[1]} is empty; write the lower number first")
        if self.pool[1] - self.pool[0] > 255:
            raise ValueError("pool holds more than 256 addresses; name fewer")
        return self

    @property
    def hosts(self) -> range:
        """Every host number of the pool."""
        return range(self.pool[0], self.pool[1] + 1)
