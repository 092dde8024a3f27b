"""What K3s is started with on a node: config.yaml, the unit, and what counts at the first start only."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

import yaml

from deploys import paths
from deploys.facts.questions import UNIT
from deploys.keys import AGENT
from deploys.templates import render
from deploys.wanted import File

if TYPE_CHECKING:
    from deploys.settings import Network, Settings

START_SECONDS = 300
_LOCAL = IPv6Network("fc00::/7")
_INPUTS = (paths.K3S_BINARY, paths.K3S_CONFIG, paths.K3S_TOKEN)


def config(settings: Settings, name: str) -> File:
    """config.yaml, without a secret and so with a diff; 0600 all the same."""
    node = settings.nodes[name]
    values = _server(settings) if node.role == "server" else {"server": settings.url(settings.first_server)}
    allowed = settings.k3s.settings if node.role == "server" else _for_agents(settings)
    ips = ",".join(str(address) for address in settings.node_ips(name))
    own = {"node-name": name, "node-ip": ips, "token-file": paths.K3S_TOKEN}
    return _yaml(paths.K3S_CONFIG, own | values | allowed)


def founding(settings: Settings, name: str) -> File:
    """The drop-in of the server that founds the cluster. K3s ignores it once there is data: it restarts nothing."""
    return _first_start(settings, name, {"cluster-init": True})


def joining(settings: Settings, name: str, peer: str) -> File:
    """The drop-in of a server that joins `peer`; on a member it makes sure that a wiped one joins again."""
    return _first_start(settings, name, {"server": settings.url(peer)})


def registering(settings: Settings, name: str) -> File:
    """The drop-in of an agent, whose server stands in config.yaml: it can be changed later."""
    return _first_start(settings, name, {})


def _first_start(settings: Settings, name: str, membership: dict[str, Any]) -> File:
    """Taints stand here too: set by kubectl only, a pod could be scheduled onto the new node before."""
    taints = settings.nodes[name].taints
    return _yaml(paths.K3S_FIRST_START, membership | ({"node-taint": list(taints)} if taints else {}))


def unit(settings: Settings, name: str) -> File:
    node = settings.nodes[name]
    path = paths.unit(UNIT[node.role])
    text = render(
        "files/k3s/k3s.service.j2",
        role=node.role,
        binary=paths.K3S_BINARY,
        inputs=(*_INPUTS, path),
        started=paths.K3S_STARTED,
        start_seconds=START_SECONDS,
        mounts=[disk.mount for disk in node.data_disks],
    )
    return File(path, text)


def _server(settings: Settings) -> dict[str, Any]:
    k3s = settings.k3s
    values: dict[str, Any] = {
        "cluster-cidr": ",".join(map(str, k3s.cluster_cidr)),
        "service-cidr": ",".join(map(str, k3s.service_cidr)),
        "write-kubeconfig-mode": "0600",
    }
    if any(_is_local(network) for network in k3s.cluster_cidr):
        values["flannel-ipv6-masq"] = True  # pods with local addresses reach nothing outside otherwise
    return (
        values
        | ({"disable": list(k3s.disable)} if k3s.disable else {})
        | ({"tls-san": list(k3s.tls_san)} if k3s.tls_san else {})
    )


def _for_agents(settings: Settings) -> dict[str, Any]:
    return {key: value for key, value in settings.k3s.settings.items() if key in AGENT}


def _is_local(network: Network) -> bool:
    return isinstance(network, IPv6Network) and network.subnet_of(_LOCAL)


def _yaml(path: str, values: dict[str, Any]) -> File:
    text = yaml.safe_dump(values, sort_keys=True, default_flow_style=False)
    return File(path, f"# Written by rzp-infra; what is changed here is overwritten.\n{text}", mode=0o600)
