"""The lab's network: one namespace with the bridge and the gateways, one namespace per machine.

The host's own network is not part of it: no interface leads out, and nothing is routed.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError
from bootstrap.lab.machines import mark, netns
from bootstrap.lab.machines.command import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootstrap.lab.backend import Nic

UNTAGGED = None


@dataclass(frozen=True)
class Network:
    """`bridge` and `vlan` are what the environment's machines are plugged into; the gateways stand there too."""

    mark: str
    bridge: str
    vlan: int | None
    gateways: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...]

    @classmethod
    def of_plan(cls, lab: str, plan: Mapping[str, Any]) -> Network:
        gateways = tuple(
            ipaddress.ip_interface(f"{family['gateway']}/{ipaddress.ip_network(family['network']).prefixlen}")
            for family in (plan["ipv4"], plan.get("ipv6"))
            if family
        )
        return cls(lab, plan["bridge"], plan.get("vlan"), gateways)

    @property
    def switch(self) -> str:
        return mark.switch(self.mark)

    def open(self) -> int:
        """Make the bridge with its gateways; the inode number of the namespace that it is in."""
        run("ip", "netns", "add", self.switch)
        self._batch("link set lo up")
        self._add_bridge(self.bridge)
        for gateway in self.gateways:
            nodad = "nodad" if gateway.version == 6 else ""
            self._batch(f"address add {gateway} dev {self.bridge} {nodad}")
        return netns.path(self.switch).stat().st_ino

    def close(self) -> None:
        run("ip", "netns", "del", self.switch)

    def plug(self, vmid: int, nics: tuple[Nic, ...]) -> None:
        """Make the machine's namespace with its cards eth0, eth1, …; each is a cable to a bridge."""
        name = mark.machine(self.mark, vmid)
        for nic in nics:
            if nic.bridge != self.bridge:
                raise LabError(f"bridge '{nic.bridge}' does not exist")
        run("ip", "netns", "add", name)
        # saves 2 s of each boot: nobody else can have the address here
        netns.inside(name, partial(_sysctl, "net/ipv6/conf/default/accept_dad", "0"))
        for index, nic in enumerate(nics):
            cable = f"m{vmid}n{index}"
            bridge = self._bridge_of(nic.tag)
            self._batch(
                f"link add {cable} type veth peer name eth{index} address {nic.mac} netns {name}",
                f"link set {cable} master {bridge} up",
            )

    def unplug(self, vmid: int) -> None:
        """Remove the machine's namespace; its cables go with it."""
        name = mark.machine(self.mark, vmid)
        if netns.path(name).exists():
            run("ip", "netns", "del", name)

    def listeners(self, *, api: int | None, files: int | None) -> list[tuple[str, socket.socket]]:
        """Listening sockets in the lab's network: the API on loopback, the files on the IPv4 gateway."""
        wanted = [("api", "127.0.0.1", api), ("files", str(self.gateways[0].ip), files)]
        return [
            (kind, netns.inside(self.switch, partial(_listen, address, port)))
            for kind, address, port in wanted
            if port is not None
        ]

    def _bridge_of(self, tag: int | None) -> str:
        """Cards with another VLAN tag than the environment's share a network among themselves only."""
        if tag in (UNTAGGED, self.vlan):
            return self.bridge
        name = f"{self.bridge}v{tag}"
        with suppress(LabError):  # made by an earlier card
            self._add_bridge(name)
        return name

    def _add_bridge(self, name: str) -> None:
        self._batch(f"link add {name} type bridge forward_delay 0 mcast_snooping 0", f"link set {name} up")

    def _batch(self, *lines: str) -> None:
        run("ip", "-n", self.switch, "-batch", "-", given="\n".join(lines) + "\n")


def _sysctl(name: str, value: str) -> None:
    (Path("/proc/sys") / name).write_text(value)


def _listen(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), backlog=128)
