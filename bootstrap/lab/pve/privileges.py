"""The privileges of the two releases, and the roles that are always there."""

from __future__ import annotations

_COMMON = """Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit Group.Allocate Mapping.Audit
Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit Realm.Allocate Realm.AllocateUser SDN.Allocate SDN.Audit
SDN.Use Sys.AccessNetwork Sys.Audit Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog User.Modify VM.Allocate VM.Audit
VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Memory
VM.Config.Network VM.Config.Options VM.Console VM.Migrate VM.PowerMgmt VM.Snapshot VM.Snapshot.Rollback""".split()
_AGENT = [
    f"VM.GuestAgent.{what}" for what in ("Audit", "FileRead", "FileWrite", "FileSystemMgmt", "Unrestricted")
]
PRIVILEGES = {
    "8.4": frozenset([*_COMMON, "VM.Monitor"]),
    "9.2": frozenset([*_COMMON, *_AGENT, "VM.Replicate"]),
}


def built_in_roles(known: frozenset[str]) -> dict[str, list[str]]:
    """Not all that Proxmox has."""
    return {
        "Administrator": sorted(known),
        "NoAccess": [],
        "PVEAuditor": sorted(name for name in known if name.endswith(".Audit")),
        "PVEDatastoreAdmin": _area(known, "Datastore."),
        "PVEDatastoreUser": ["Datastore.AllocateSpace", "Datastore.Audit"],
        "PVEPoolAdmin": _area(known, "Pool."),
        "PVESDNUser": ["SDN.Audit", "SDN.Use"],
        "PVEVMAdmin": _area(known, "VM."),
    }


def _area(known: frozenset[str], start: str) -> list[str]:
    return sorted(name for name in known if name.startswith(start))
