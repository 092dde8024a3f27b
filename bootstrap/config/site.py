"""What only you can know: edit this file. The values here are documentation addresses; `up` and `doctor` refuse them.

Both environments may share a Proxmox cluster and a network; host numbers and VMIDs keep them apart.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from bootstrap.config.access import Access
from bootstrap.config.network import Network, Subnet4, Subnet6
from bootstrap.config.proxmox import Proxmox
from bootstrap.config.software import Infisical

PROXMOX = Proxmox(
    endpoints=("https://192.0.2.10:8006",),
    nodes=("pve1", "pve2", "pve3"),
    fingerprint=None,  # SHA-256 of the API certificate, AB:CD:…; or ca_file=Path("pve-root-ca.pem"); else the system's CAs
    image_storage="local",
    disk_storage="local-lvm",
)

NETWORK = Network(
    bridge="vmbr0",
    ipv4=Subnet4(network=IPv4Network("192.0.2.0/24"), gateway=IPv4Address("192.0.2.1")),
    ipv6=Subnet6(network=IPv6Network("2001:db8::/64"), gateway=IPv6Address("2001:db8::1")),
    dns=(IPv4Address("192.0.2.1"),),
    search_domain="home.example",
)

ACCESS = Access(
    user="rzp",
    ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA replace-me",),
)

TIMEZONE = "Etc/UTC"
NTP: tuple[str, ...] = ()

DOMAIN = "home.example"  # production's applications are NAME.DOMAIN, staging's NAME.staging.DOMAIN

GIT_REPOSITORY = "https://git.example/rzp-infra.git"
GIT_REVISION = "main"


def infisical(environment: str) -> Infisical | None:  # noqa: ARG001
    """Where a cluster's applications get their secrets from; None: External Secrets runs without a store.

    return Infisical(host="https://app.infisical.com", project="…", environment=environment)
    """
    return None
