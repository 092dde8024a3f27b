"""Staging: one server, two agents, VMIDs 120-139, on the first Proxmox node."""

from ipaddress import IPv4Network, IPv6Network

from bootstrap.config import pins, site
from bootstrap.config.base import Environment
from bootstrap.config.ingress import Ingress
from bootstrap.config.pool import DataDisk, Pool, ServerPool
from bootstrap.config.software import GitOps, K3s

environment = Environment(
    name="staging",
    proxmox=site.PROXMOX,
    network=site.NETWORK,
    access=site.ACCESS,
    timezone=site.TIMEZONE,
    ntp=site.NTP,
    image=pins.DEBIAN_13,
    vmids=(120, 139),
    servers=ServerPool(
        count=1, first_vmid=120, first_host=20, cores=2, memory_mib=4096, nodes=site.PROXMOX.nodes[:1]
    ),
    agents=(
        Pool(
            name="agent",
            count=2,
            first_vmid=130,
            first_host=30,
            cores=4,
            memory_mib=8192,
            data_disks=(DataDisk(gib=60, mount="/var/lib/longhorn"),),
            nodes=site.PROXMOX.nodes[:1],
        ),
    ),
    k3s=K3s(
        pin=pins.K3S,
        cluster_cidr=(IPv4Network("10.42.0.0/16"), IPv6Network("fd42:120::/56")),
        service_cidr=(IPv4Network("10.43.0.0/16"), IPv6Network("fd43:120::/112")),
    ),
    ingress=Ingress(domain=f"staging.{site.DOMAIN}", pool=(40, 59)),
    gitops=GitOps(
        repository=site.GIT_REPOSITORY,
        revision=site.GIT_REVISION,
        argocd=pins.ARGOCD,
        infisical=site.infisical("staging"),
    ),
)
