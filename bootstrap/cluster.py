"""K3sCluster: an environment's machines, with names, VMIDs, addresses and placement worked out. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from bootstrap.config.base import Environment
from bootstrap.config.pool import Pool, Shape
from bootstrap.machine import Disk, Machine

# scsi0 is the system, scsi1 the cdrom with the seed, so data disks begin at scsi2.
_FIRST_DATA_SLOT = 2


@dataclass(frozen=True)
class K3sCluster:
    """The machines of one environment; usable without the command line."""

    environment: Environment

    @cached_property
    def machines(self) -> tuple[Machine, ...]:
        """Servers, then agents pool by pool, then machines outside the cluster."""
        found = list(self._pool(self.environment.servers, "server"))
        for pool in self.environment.agents:
            found += self._pool(pool, "agent")
        for vm in self.environment.machines:
            node = vm.node or self.environment.proxmox.nodes[0]
            found.append(self._machine(vm, "machine", vm.name, vm.name, vm.vmid, vm.host, node))
        return tuple(found)

    @property
    def servers(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "server")

    @property
    def agents(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "agent")

    def pool_of(self, machine: Machine) -> Pool | None:
        """The pool that a K3s node belongs to; None for machines outside the cluster."""
        return next((pool for pool in self.environment.pools if pool.name == machine.pool), None)

    def _pool(self, pool: Pool, role: Literal["server", "agent"]) -> list[Machine]:
        nodes = pool.nodes or self.environment.proxmox.nodes
        return [
            self._machine(
                pool,
                role,
                pool.name,
                f"{pool.name}-{index + 1}",
                pool.first_vmid + index,
                pool.first_host + index,
                nodes[index % len(nodes)],
            )
            for index in pool.indexes
        ]

    def _machine(
        self,
        shape: Shape,
        role: Literal["server", "agent", "machine"],
        pool: str,
        name: str,
        vmid: int,
        host: int,
        node: str,
    ) -> Machine:
        env = self.environment
        storage = env.proxmox.disk_storage
        data = [
            Disk(slot=f"scsi{_FIRST_DATA_SLOT + index}", storage=storage, gib=disk.gib, mount=disk.mount)
            for index, disk in enumerate(shape.data_disks)
        ]
        return Machine(
            environment=env.name,
            name=f"{env.name}-{name}",
            role=role,
            pool=pool,
            vmid=vmid,
            node=node,
            cores=shape.cores,
            memory_mib=shape.memory_mib,
            cpu_type=env.cpu_type,
            disks=(Disk(slot="scsi0", storage=storage, gib=shape.os_disk_gib), *data),
            bridge=env.network.bridge,
            vlan=env.network.vlan,
            addresses=self._addresses(host),
            protection=env.protection,
            description=shape.description and shape.description.rstrip(),
        )

    def _addresses(self, host: int) -> tuple[IPv4Interface | IPv6Interface, ...]:
        network = self.environment.network
        lengths = [subnet.network.prefixlen for subnet in (network.ipv4, network.ipv6) if subnet]
        return tuple(
            ipaddress.ip_interface(f"{address}/{length}")
            for address, length in zip(self.environment.addresses(host), lengths, strict=True)
        )
