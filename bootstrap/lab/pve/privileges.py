"""The privileges of the two releases, by who holds them in the roles that are always there."""

from __future__ import annotations

# area: what only administrators of everything have; admins of the area; its users; auditors
_TABLE = {
    "VM": (
        "",
        """Allocate Clone Config.CPU Config.Disk Config.HWType Config.Memory Config.Network Config.Options Migrate Snapshot
Snapshot.Rollback""",
        "Backup Config.CDROM Config.Cloudinit Console PowerMgmt",
        "Audit",
    ),
    "Sys": ("AccessNetwork Incoming Modify PowerMgmt", "Console Syslog", "", "Audit"),
    "Datastore": ("", "Allocate AllocateTemplate", "AllocateSpace", "Audit"),
    "SDN": ("", "Allocate", "Use", "Audit"),
    "User": ("", "Modify", "", ""),
    "Group": ("", "Allocate", "", ""),
    "Realm": ("Allocate", "AllocateUser", "", ""),
    "Pool": ("", "Allocate", "", "Audit"),
    "Mapping": ("", "Modify", "Use", "Audit"),
    "Permissions": ("Modify", "", "", ""),
}
_OWN = {
    "8.4": ("", "Monitor", "", ""),
    "9.2": (
        "",
        "GuestAgent.Unrestricted Replicate",
        "GuestAgent.FileRead GuestAgent.FileSystemMgmt GuestAgent.FileWrite",
        "GuestAgent.Audit",
    ),
}
_ROOT, _ADMIN, _USER, _AUDIT = range(4)
_ACCOUNTS = ("User", "Group", "Realm")


def _held(pve: str, areas: tuple[str, ...], *levels: int) -> list[str]:
    """The privileges of these areas at these levels."""
    texts = [(area, _TABLE[area][level]) for area in areas for level in levels]
    texts += [("VM", _OWN[pve][level]) for level in levels if "VM" in areas]
    return sorted(f"{area}.{name}" for area, text in texts for name in text.split())


def _roles(pve: str) -> dict[str, list[str]]:
    everything = tuple(_TABLE)
    roles = {"Administrator": _held(pve, everything, _ROOT, _ADMIN, _USER, _AUDIT), "NoAccess": []}
    most = _held(pve, everything, _ADMIN, _USER, _AUDIT)
    roles |= {"PVEAdmin": [name for name in most if name != "Mapping.Modify"]}
    roles |= {
        "PVEAuditor": _held(pve, everything, _AUDIT),
        "PVETemplateUser": ["VM.Audit", "VM.Clone"],
        "PVEUserAdmin": _held(pve, _ACCOUNTS, _ADMIN),
        "PVEPoolUser": ["Pool.Audit"],
    }
    for area in ("VM", "Sys", "Datastore", "SDN", "Pool", "Mapping"):
        roles[f"PVE{area}Admin"] = _held(pve, (area,), _ADMIN, _USER, _AUDIT)
        if _TABLE[area][_USER]:
            roles[f"PVE{area}User"] = _held(pve, (area,), _USER, _AUDIT)
    return roles


ROLES = {pve: _roles(pve) for pve in _OWN}
"""Release → the roles that are always there, with their privileges in order."""
