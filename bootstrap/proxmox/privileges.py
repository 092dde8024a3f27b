"""The privileges that this client needs: which role holds them, on which path, and the `pveum` lines that grant them.

Measured on the real API by taking each one away. 8.4 calls the guest agent's privilege VM.Monitor, 9.x VM.GuestAgent.Audit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bootstrap.config.base import Environment

_MACHINES = (
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
    "VM.PowerMgmt",
)
_DISKS = ("Datastore.AllocateSpace",)
# Allocate, because a seed ISO is deleted once it has been read.
_IMAGES = ("Datastore.AllocateTemplate", "Datastore.Audit", "Datastore.Allocate")
_NETWORK = ("SDN.Use",)
_NODE = ("Sys.AccessNetwork", "Sys.Audit")
_BRIDGES = "/sdn/zones/localnetwork"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on a path. `probe`: the path to ask for, where a narrower grant would do as well."""

    role: str
    privileges: tuple[str, ...]
    path: str
    probe: str


def agent_privilege(major: int) -> str:
    return "VM.Monitor" if major < 9 else "VM.GuestAgent.Audit"


def grants(environment: Environment, major: int) -> tuple[Grant, ...]:
    """Every role and path for Proxmox VE `major` (8 or 9)."""
    proxmox, network = environment.proxmox, environment.network
    bridge = f"{_BRIDGES}/{network.bridge}" + (f"/{network.vlan}" if network.vlan else "")
    images, disks = f"/storage/{proxmox.image_storage}", f"/storage/{proxmox.disk_storage}"
    return (
        Grant("RZPVM", (*_MACHINES, agent_privilege(major)), "/vms", f"/vms/{environment.vmids[0]}"),
        Grant("RZPDisks", _DISKS, disks, disks),
        Grant("RZPImages", _IMAGES, images, images),
        Grant("RZPNet", _NETWORK, _BRIDGES, bridge),
        *(Grant("RZPNode", _NODE, f"/nodes/{node}", f"/nodes/{node}") for node in proxmox.nodes),
    )


def role_of(privilege: str) -> str | None:
    """The role of ours that holds a privilege."""
    roles = {
        "RZPVM": _MACHINES,
        "RZPDisks": _DISKS,
        "RZPImages": _IMAGES,
        "RZPNet": _NETWORK,
        "RZPNode": _NODE,
    }
    return next((role for role, held in roles.items() if privilege in held), None)


def grant_line(path: str, role: str, user: str, token_name: str | None) -> str:
    """A token has the privileges that both it and its user have, so both get the role."""
    token = f" --tokens '{user}!{token_name}'" if token_name else ""
    return f"pveum acl modify {path} --roles {role} --users {user}{token}"


def extend_line(role: str, privilege: str) -> str:
    return f"pveum role modify {role} --privs {privilege} --append 1"


def role_line(role: str, privileges: Iterable[str]) -> str:
    return f"pveum role add {role} --privs '{' '.join(privileges)}'"
