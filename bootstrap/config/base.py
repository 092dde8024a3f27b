"""An environment: what its parts amount to together, and the rules between them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from bootstrap.config.access import Access
from bootstrap.config.ingress import Ingress
from bootstrap.config.model import Hostname, Model
from bootstrap.config.network import Network
from bootstrap.config.pool import Pool, ServerPool, Vm
from bootstrap.config.proxmox import Proxmox
from bootstrap.config.software import GitOps, Image, K3s


class Environment(Model):
    """One environment; `bootstrap/config/NAME.py` binds it to the name `environment`."""

    name: Hostname
    """As its file is named; the machines' names and tags begin with it. Another name means other machines."""
    proxmox: Proxmox
    """The Proxmox VE that the machines run on."""
    network: Network
    """The network that the machines are in."""
    access: Access
    """Who logs in to the machines, and how."""
    image: Image
    """The cloud image that machines are made from. Only at creation: later `--replace NAME`."""
    vmids: tuple[int, int]
    """First and last VMID that belong to it; no other environment may use them."""
    servers: ServerPool
    """The servers: the control plane of K3s."""
    agents: tuple[Pool, ...] = ()
    """Pools of agents: the nodes for workloads."""
    machines: tuple[Vm, ...] = ()
    """Machines outside the cluster: created, in the inventory, and prepared by the deploy as far as they are no nodes."""
    k3s: K3s
    """The cluster."""
    ingress: Ingress
    """The domain of the applications' names, and the addresses of load balancers."""
    gitops: GitOps
    """What the cluster follows."""
    protection: bool = False
    """Proxmox refuses to delete the machines and their disks. A change is applied in place, at once."""
    timezone: str = "Etc/UTC"
    """Time zone, as in /usr/share/zoneinfo. Only at creation: later `--replace NAME`, or by hand in the
    guest."""
    ntp: tuple[str, ...] = ()
    """Time servers; none: those of the image. Only at creation: later `--replace NAME`, or by hand in the
    guest."""
    cpu_type: str = "x86-64-v2-AES"
    """CPU type of the VMs; the same on all nodes allows live migration. A change waits for the next start;
    `--reboot` does that."""
    source: Literal["operator", "lab"] = "operator"
    """lab: the values come from a running lab, as the demo's do; nobody sets it by hand."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        return (self.servers, *self.agents)

    def vmid_owners(self) -> dict[int, list[str]]:
        """VMID → what asks for it."""
        owners: dict[int, list[str]] = {}
        for pool in self.pools:
            for index in pool.indexes:
                owners.setdefault(pool.first_vmid + index, []).append(f"{pool.name}-{index + 1}")
        for machine in self.machines:
            owners.setdefault(machine.vmid, []).append(machine.name)
        return owners

    def host_owners(self) -> dict[int, list[str]]:
        """Host number in the networks → what asks for it."""
        owners: dict[int, list[str]] = {}
        for pool in self.pools:
            for index in pool.indexes:
                owners.setdefault(pool.first_host + index, []).append(f"{pool.name}-{index + 1}")
        for machine in self.machines:
            owners.setdefault(machine.host, []).append(machine.name)
        for host in self.ingress.hosts:
            owners.setdefault(host, []).append("ingress.pool")
        return owners

    def names(self) -> list[str]:
        """The names of all machines, as Proxmox and Kubernetes know them."""
        owners = [owner for owners in self.vmid_owners().values() for owner in owners]
        return [f"{self.name}-{owner}" for owner in owners]

    def addresses(self, host: int) -> tuple[IPv4Address | IPv6Address, ...]:
        """The addresses of a host number, IPv4 first; the digits read alike in both (20 → 10.0.0.20 and fd00::20)."""
        four = self.network.ipv4.network[host]
        return (four,) if self.network.ipv6 is None else (four, self.network.ipv6.network[int(str(host), 16)])

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        faults = [
            *_vmid_faults(self),
            *_host_faults(self),
            *_name_faults(self),
            *_placement_faults(self),
            *_family_faults(self),
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self


def _vmid_faults(env: Environment) -> list[str]:
    first, last = env.vmids
    faults = []
    for pool in env.pools:
        end = pool.first_vmid + pool.count - 1
        if pool.count and not (first <= pool.first_vmid and end <= last):
            faults.append(
                f"{pool.name}.count {pool.count} from VMID {pool.first_vmid} does not fit VMIDs {first}-{last};"
                " lower the count or widen vmids"
            )
    faults += [
        f"machines.{m.name}.vmid {m.vmid} is outside VMIDs {first}-{last}; choose one inside"
        for m in env.machines
        if not first <= m.vmid <= last
    ]
    return faults + [
        f"VMID {vmid} is asked for by {' and '.join(owners)}; move first_vmid of one of them"
        for vmid, owners in env.vmid_owners().items()
        if len(owners) > 1
    ]


def _host_faults(env: Environment) -> list[str]:
    faults = []
    taken = _foreign_addresses(env)
    for host, owners in env.host_owners().items():
        who = " and ".join(owners)
        if len(owners) > 1:
            faults.append(
                f"host number {host} ({env.network.ipv4.network}) is asked for by {who}; move one of them"
            )
        if small := [net for net in _networks(env) if not _fits(host, net)]:
            faults.append(f"{who}: host number {host} does not fit {small[0]}; lower {_named(who)}")
            continue
        faults += [
            f"{who}: address {address} is {taken[str(address)]}; move {_named(who)}"
            for address in env.addresses(host)
            if str(address) in taken
        ]
    return faults


def _named(who: str) -> str:
    """The field that a host number is written in."""
    return who if who == "ingress.pool" else "first_host"


def _networks(env: Environment) -> list[IPv4Network | IPv6Network]:
    return [subnet.network for subnet in (env.network.ipv4, env.network.ipv6) if subnet]


def _fits(host: int, network: IPv4Network | IPv6Network) -> bool:
    """IPv4's last address is the broadcast's; in IPv6 the digits are read as hexadecimal."""
    if isinstance(network, IPv4Network):
        return host < network.num_addresses - 1
    return int(str(host), 16) < network.num_addresses


def _foreign_addresses(env: Environment) -> dict[str, str]:
    """Addresses that belong to somebody else, and to whom."""
    found = {str(server): "a DNS server's" for server in env.network.dns}
    found |= {(urlsplit(url).hostname or ""): "Proxmox' own" for url in env.proxmox.endpoints}
    return found | {str(net.gateway): "the gateway's" for net in (env.network.ipv4, env.network.ipv6) if net}


def _name_faults(env: Environment) -> list[str]:
    names = env.names()
    pools = [pool.name for pool in env.pools]
    twice = sorted(
        {name for name in names if names.count(name) > 1} | {name for name in pools if pools.count(name) > 1}
    )
    return [f"name {name} is given twice; rename one of them" for name in twice] + [
        f"name {name} is longer than 63 characters; shorten the pool's or the environment's name"
        for name in names
        if len(name) > 63
    ]


def _placement_faults(env: Environment) -> list[str]:
    known = env.proxmox.nodes
    asked = [(f"{pool.name}.nodes", node) for pool in env.pools for node in pool.nodes]
    asked += [(f"machines.{machine.name}.node", machine.node) for machine in env.machines if machine.node]
    return [
        f"{place} names {node}, but proxmox.nodes are {', '.join(known)}; add it there"
        for place, node in asked
        if node not in known
    ]


def _family_faults(env: Environment) -> list[str]:
    wanted = [4] if env.network.ipv6 is None else [4, 6]
    faults = []
    for field in ("cluster_cidr", "service_cidr"):
        families = [network.version for network in getattr(env.k3s, field)]
        if families != wanted:
            faults.append(
                f"k3s.{field} has IPv{' and IPv'.join(map(str, families))}, the machines have IPv{' and IPv'.join(map(str, wanted))};"
                " give one network per family, IPv4 first (K3s cannot change it later)"
            )
    ranges = [*env.k3s.cluster_cidr, *env.k3s.service_cidr, env.network.ipv4.network]
    ranges += [env.network.ipv6.network] if env.network.ipv6 else []
    for index, one in enumerate(ranges):
        faults += [
            f"networks {one} and {other} overlap; move one of them"
            for other in ranges[index + 1 :]
            if _overlap(one, other)
        ]
    return faults


def _overlap(one: object, other: object) -> bool:
    return type(one) is type(other) and bool(one.overlaps(other))  # type: ignore[attr-defined]
