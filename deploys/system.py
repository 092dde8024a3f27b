"""What the operating system of a node must be like before K3s starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploys import longhorn
from deploys.templates import render

if TYPE_CHECKING:
    from deploys.settings import DataDisk, Settings

PACKAGES = {
    "machine": ("cloud-guest-utils", "qemu-guest-agent"),
    "node": ("apparmor", "ca-certificates", "curl", "e2fsprogs", "iptables"),
}
"""Debian packages by what they are for; growpart is of the first, and without apparmor's userland no container starts on a kernel that has it on."""

MODULES = ("overlay", "br_netfilter")


def node_packages(settings: Settings) -> tuple[str, ...]:
    return PACKAGES["node"] + (longhorn.PACKAGES if longhorn.runs(settings) else ())


def modules(settings: Settings) -> tuple[str, ...]:
    return MODULES + (longhorn.MODULES if longhorn.runs(settings) else ())


def modules_text(settings: Settings) -> str:
    return render("files/system/modules.conf.j2", modules=modules(settings))


def sysctl_text(settings: Settings) -> str:
    return render("files/system/sysctl.conf.j2", ipv6=6 in settings.k3s.families)


def sysctl_values(settings: Settings) -> dict[str, str]:
    """What the drop-in sets: key → value."""
    lines = (line.partition("#")[0] for line in sysctl_text(settings).splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def mount_unit(path: str) -> str:
    """The name that systemd demands for the mount unit of `path`."""
    return f"{_unit_name(path)}.mount"


def mount_text(uuid: str, disk: DataDisk) -> str:
    device = f"/dev/disk/by-uuid/{uuid}"
    return render("files/system/data.mount.j2", device=device, instance=_unit_name(device), disk=disk)


def _unit_name(path: str) -> str:
    """A path as part of a unit's name (systemd.unit(5), escaping)."""
    plain = path.strip("/")
    return "".join(_escaped(char, first=index == 0) for index, char in enumerate(plain)) or "-"


def _escaped(char: str, *, first: bool) -> str:
    if char == "/":
        return "-"
    if (char.isascii() and char.isalnum()) or char in ":_" or (char == "." and not first):
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
