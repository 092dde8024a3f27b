"""pyinfra inventories/ENV.py deploys/k3s.py: machines become a K3s cluster that follows the repository.

The order of the calls is the order of the work; each step is done on all hosts before the next one starts. Whether a
step does something is decided in the operation, by what is on the host.
"""

from pathlib import Path

from pyinfra import local
from pyinfra.context import host

from deploys import longhorn, system
from deploys.operations import cluster, disks, k3s, node
from deploys.settings import Settings
from deploys.token import k3s_token

settings = Settings.of(host.data)
me = settings.nodes.get(host.name)

node.first_boot(name="First boot is done", settings=settings)
node.packages(name="Packages of a machine", settings=settings, names=system.PACKAGES["machine"])
node.guest_agent(name="Guest agent", settings=settings)
disks.root_grown(name="System disk is used to its end", settings=settings)

if me is not None:
    token = k3s_token(settings.environment)

    node.packages(name="Packages of a node", settings=settings, names=system.node_packages(settings))
    node.modules(name="Kernel modules", settings=settings)
    node.sysctls(name="Kernel settings", settings=settings)
    node.swap_off(name="Swap is off", settings=settings)
    if longhorn.runs(settings):
        node.iscsid(name="iSCSI for Longhorn", settings=settings)
    for disk in host.loop(me.data_disks):  # type: ignore[no-untyped-call]
        disks.mounted(name=f"Data disk at {disk.mount}", settings=settings, disk=disk)
        disks.grown(name=f"Data disk at {disk.mount} is used to its end", settings=settings, disk=disk)

    k3s.binary(name=f"K3s {settings.k3s.version}", settings=settings)

    # one server after the other: two that join at the same time can leave the cluster without quorum
    for server in host.loop(settings.servers):  # type: ignore[no-untyped-call]
        if host.name == server:
            k3s.server(name=f"Server {server}", settings=settings, token=token)
    if me.role == "agent":
        k3s.agent(name="Agents", settings=settings, token=token)
    if me.role == "server":
        k3s.rejoining(name="Servers would rejoin each other", settings=settings, token=token)

    if host.name == settings.first_server:
        cluster.ready(name="The cluster is ready", settings=settings)
        cluster.labels_and_taints(name="Labels and taints", settings=settings)
        cluster.kubeconfig(name="kubeconfig", settings=settings, target=Path.cwd() / settings.kubeconfig)

    local.include("deploys/argocd.py")
