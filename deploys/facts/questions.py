"""What is asked of a host: the paths, units, values and disks that the deploy compares, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploys import longhorn, paths
from deploys.system import PACKAGES, modules, mount_unit, node_packages, sysctl_values

if TYPE_CHECKING:
    from deploys.settings import DataDisk, Settings

UNIT = {"server": "k3s.service", "agent": "k3s-agent.service"}


@dataclass(frozen=True, repr=False)
class Questions:
    """`texts` are files whose content may be shown; of `hashes` only the sha256 leaves the host."""

    texts: tuple[str, ...]
    hashes: tuple[str, ...] = ()
    exist: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    disks: tuple[DataDisk, ...] = ()
    server: bool = False

    def __repr__(self) -> str:
        """Short: pyinfra prints a fact's arguments."""
        return f"{len(self.texts) + len(self.hashes)} files, {len(self.units)} units"


def for_host(settings: Settings, name: str) -> Questions:
    """The questions for one host; a machine outside the cluster is only asked for its first boot and its agent."""
    node = settings.nodes.get(name)
    texts = (paths.CLOUD_INIT_RESULT, paths.CLOUD_INIT_STATUS)
    exist = (*paths.CLOUD_INIT_DISABLED, paths.GUEST_AGENT_PORT)
    units = ("qemu-guest-agent.service",)
    if node is None:
        return Questions(texts=texts, exist=exist, units=units, packages=PACKAGES["machine"])
    own = (UNIT[node.role], *(mount_unit(disk.mount) for disk in node.data_disks))
    server = node.role == "server"
    return Questions(
        texts=(
            *texts,
            *(paths.unit(unit) for unit in own),
            *(paths.MODULES_LOAD, paths.SYSCTL, paths.K3S_CONFIG, paths.K3S_FIRST_START, paths.K3S_STARTED),
        ),
        hashes=(
            *(paths.K3S_BINARY, paths.K3S_TOKEN),
            *([paths.K3S_KUBECONFIG, paths.SERVER_CA] if server else []),
        ),
        exist=(*exist, paths.ETCD_MEMBER, paths.SQLITE),
        units=(*units, "swap.target", *own, *(longhorn.ISCSID if longhorn.runs(settings) else ())),
        sysctls=tuple(sysctl_values(settings)),
        modules=modules(settings),
        packages=(*PACKAGES["machine"], *node_packages(settings)),
        disks=node.data_disks,
        server=server,
    )
