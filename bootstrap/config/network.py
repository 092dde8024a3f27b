"""The network of the machines: bridge, static addresses, name servers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Generic, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from bootstrap.config.model import Model

Net = TypeVar("Net", IPv4Network, IPv6Network)
Address = TypeVar("Address", IPv4Address, IPv6Address)


class Subnet(Model, Generic[Net, Address]):
    """A network of the machines, given once."""

    network: Net
    gateway: Address

    @model_validator(mode="after")
    def _gateway_inside(self) -> Self:
        if self.gateway not in self.network:
            raise ValueError(
                f"gateway {self.gateway} is not inside {self.network}; correct the one or the other"
            )
        return self


Subnet4 = Subnet[IPv4Network, IPv4Address]
Subnet6 = Subnet[IPv6Network, IPv6Address]


class Network(Model):
    """Bridge, static addresses and name servers of every machine."""

    bridge: str = "vmbr0"
    vlan: int | None = Field(default=None, ge=1, le=4094)
    ipv4: Subnet4
    ipv6: Subnet6 | None = None
    dns: tuple[IPv4Address | IPv6Address, ...]
    search_domain: str | None = None

    @field_validator("dns")
    @classmethod
    def _some_dns(cls, value: tuple[IPv4Address | IPv6Address, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
        if not value:
            raise ValueError("static addresses need at least one DNS server; add it")
        if len(value) > 3:
            raise ValueError("more than three DNS servers are cut by the resolver; name at most three")
        return value
