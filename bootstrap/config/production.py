"""Production: three servers, three agents, VMIDs 220-239, spread over the Proxmox nodes, protected from deletion."""

from ipaddress import IPv4Network, IPv6Network

from bootstrap.config import pins, site
from bootstrap.config.base import Environment
from bootstrap.config.ingress import Ingress
from bootstrap.config.pool import DataDisk, Pool, ServerPool
from bootstrap.config.software import GitOps, K3s

environment = Environment(
    name="production",
    proxmox=site.PROXMOX,
    network=site.NETWORK,
    access=site.ACCESS,
    timezone=site.TIMEZONE,
    ntp=site.NTP,
    image=pins.DEBIAN_13,
    vmids=(220, 239),
    protection=True,
    servers=ServerPool(count=3, first_vmid=220, first_host=120, cores=4, memory_mib=8192),
    agents=(
        Pool(
            name="agent",
            count=3,
            first_vmid=230,
            first_host=130,
            cores=8,
            memory_mib=16384,
            data_disks=(DataDisk(gib=60, mount="/var/lib/longhorn"),),
        ),
    ),
    k3s=K3s(
        pin=pins.K3S,
        cluster_cidr=(IPv4Network("10.42.0.0/16"), IPv6Network("fd42:220::/56")),
        service_cidr=(IPv4Network("10.43.0.0/16"), IPv6Network("fd43:220::/112")),
    ),
    ingress=Ingress(domain=site.DOMAIN, pool=(140, 159)),
    gitops=GitOps(
        repository=site.GIT_REPOSITORY,
        revision=site.GIT_REVISION,
        argocd=pins.ARGOCD,
        infisical=site.infisical("prod"),
    ),
)
