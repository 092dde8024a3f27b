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
    """The network with its prefix, e.g. 10.0.0.0/24 or fd00::/64. An address that changes with it needs `--replace NAME`."""
    gateway: Address
    """The default route, inside the network. Only at creation: later `--replace NAME`, or by hand in the
    guest."""

    @model_validator(mode="after")
    def _gateway_inside(self) -> Self:
        if self.gateway not in self.network:
            raise ValueError(
                f"gateway {self.gateway} is not inside {self.network}; correct the one or the other"
            )
        return self


class Subnet4(Subnet[IPv4Network, IPv4Address]):
    """The machines' IPv4 network, given once; an address is the network plus a host number (20 → 10.0.0.20)."""


class Subnet6(Subnet[IPv6Network, IPv6Address]):
    """The machines' IPv6 network, given once; the digits of a host number are taken as they are (20 → fd00::20)."""


class Network(Model):
    """Bridge, static addresses and name servers of every machine."""

    bridge: str = "vmbr0"
    """Proxmox' bridge for every network card. A change is applied in place, at once."""
    vlan: int | None = Field(default=None, ge=1, le=4094)
    """VLAN tag of the cards; none: untagged. A change is applied in place, at once."""
    ipv4: Subnet4
    """Every machine has an address in it: its host number there."""
    ipv6: Subnet6 | None = None
    """With it the machines and the cluster have both families; the digits of the host number are the same. A
    change alters the addresses: `--replace NAME`."""
    dns: tuple[IPv4Address | IPv6Address, ...]
    """Name servers, one to three. Only at creation: later `--replace NAME`, or by hand in the guest."""
    search_domain: str | None = None
    """Search domain, and the end of each machine's full name. Only at creation: later `--replace NAME`, or
    by hand in the guest."""

    @field_validator("dns")
    @classmethod
    def _some_dns(cls, value: tuple[IPv4Address | IPv6Address, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
        if not value:
            raise ValueError("static addresses need at least one DNS server; add it")
        if len(value) > 3:
            raise ValueError("more than three DNS servers are cut by the resolver; name at most three")
        return value
