"""The door of the deploys: the plain dict `rzp` of the group data becomes one frozen value, or one line says why not."""

from __future__ import annotations

import difflib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    ValidationError,
    field_validator,
    model_validator,
)
from pyinfra.api.exceptions import DeployError

from deploys.keys import OWN, SERVER

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Role = Literal["server", "agent"]


class SettingsError(DeployError):
    """The group data does not say what the deploys need; each line names place and fix."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(Model):
    """A published file: version, URL and sha256, all of them known."""

    version: str
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DataDisk(Model):
    """A disk of its own, formatted when it is empty and mounted by its file system's UUID."""

    device: str = Field(pattern=r"^/dev/\S+$")
    mount: str = Field(pattern=r"^(/[\w.-]+)+$")
    filesystem: Literal["ext4"] = "ext4"


class Node(Model):
    """A K3s node: its name in the inventory is the VM's name and the Node's name."""

    role: Role
    pool: str
    addresses: tuple[IPvAnyAddress, ...] = Field(min_length=1)
    labels: dict[str, str] = {}
    taints: tuple[str, ...] = ()
    data_disks: tuple[DataDisk, ...] = ()


class K3s(Published):
    """The pinned release and what goes into config.yaml; `settings` are further keys of K3s."""

    disable: tuple[str, ...] = ()
    cluster_cidr: tuple[IPvAnyNetwork, ...] = Field(min_length=1)
    service_cidr: tuple[IPvAnyNetwork, ...] = Field(min_length=1)
    tls_san: tuple[str, ...] = ()
    settings: dict[str, str | int | bool | list[str]] = {}

    @field_validator("settings")
    @classmethod
    def _known_keys(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for key in settings:
            if key in OWN:
                raise ValueError(f"{key}: this key is written by the deploy itself; remove it here")
            if key not in SERVER:
                close = difflib.get_close_matches(key, SERVER, n=1)
                hint = f"; did you mean {close[0]}?" if close else "; see deploys/keys.py for the known ones"
                raise ValueError(f"{key}: K3s has no such key and would skip it with a warning{hint}")
        return settings

    @property
    def families(self) -> tuple[int, ...]:
        """IP versions of the cluster, in the order of its networks."""
        return tuple(network.version for network in self.cluster_cidr)


class GitOps(Model):
    """What Argo CD watches; `credential` says that secrets gitops.* hold its access, `infisical` that infisical.* do.

    `left_out`: a sentence for each component that does not run here, because a pin of it is not known.
    """

    repository: str
    revision: str
    path: str
    credential: bool = False
    infisical: bool = False
    left_out: tuple[str, ...] = ()


class Settings(Model):
    """One environment as the deploys see it. `components`: those of kubernetes/core and platform that run on it."""

    environment: str
    nodes: dict[str, Node]
    k3s: K3s
    argocd: Published
    components: tuple[str, ...] = ()
    gitops: GitOps
    kubeconfig: str
    context: str

    @model_validator(mode="after")
    def _has_a_server(self) -> Self:
        if not self.servers:
            raise ValueError("nodes: none of them has the role server")
        return self

    @classmethod
    def of(cls, data: Any) -> Settings:
        """Parse `host.data.rzp`."""
        rzp = data.get("rzp") if "rzp" in data.dict() else None
        if rzp is None:
            raise SettingsError(
                "inventories/group_data has no dict `rzp`; write it with: rzp-bootstrap inventory ENV"
            )
        return cls.parse(rzp)

    @classmethod
    def parse(cls, rzp: Any) -> Settings:
        try:
            return cls.model_validate(rzp)
        except ValidationError as error:
            faults = error.errors()
            # a list whose items are faulty is "too short" as well
            told = [f for f in faults if not any(g["loc"][:-1] == f["loc"] != g["loc"] for g in faults)]
            raise SettingsError("\n".join(_line(fault) for fault in told)) from None

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers' names, in the order in which they join."""
        return tuple(name for name, node in self.nodes.items() if node.role == "server")

    @property
    def first_server(self) -> str:
        return self.servers[0]

    def url(self, server: str) -> str:
        """Where a server's API answers; its first address of the cluster's first family."""
        address = self.node_ips(server)[0]
        return f"https://[{address}]:6443" if address.version == 6 else f"https://{address}:6443"

    def node_ips(self, name: str) -> tuple[Address, ...]:
        """A node's addresses in the families and the order of the cluster's networks."""
        addresses = self.nodes[name].addresses
        chosen = [next((a for a in addresses if a.version == family), None) for family in self.k3s.families]
        if None in chosen:
            raise SettingsError(
                f"rzp.nodes.{name}.addresses: {', '.join(map(str, addresses))} lack a family of"
                f" k3s.cluster_cidr {', '.join(map(str, self.k3s.cluster_cidr))}; add the address or drop the network"
            )
        return tuple(address for address in chosen if address is not None)


def _line(fault: Any) -> str:
    place = ".".join(str(part) for part in ("rzp", *fault["loc"]) if part != "function-after")
    if fault["input"] is None:
        return f"{place}: the pin or value is not known (None); enter it in bootstrap/config and run rzp-bootstrap again"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')} (found {fault['input']!r:.80})"
