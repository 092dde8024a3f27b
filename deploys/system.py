"""What the operating system of a node must be like before K3s starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploys.templates import render

if TYPE_CHECKING:
    from deploys.settings import Settings

PACKAGES = {
    "machine": ("qemu-guest-agent",),
    "node": ("apparmor", "ca-certificates", "curl", "iptables"),
    "ext4": ("e2fsprogs",),
    "xfs": ("xfsprogs",),
}
"""Debian packages by what they are for; without apparmor's userland no container starts on a kernel that has it on."""

MODULES = ("overlay", "br_netfilter")


def modules_text() -> str:
    return render("files/system/modules.conf.j2", modules=MODULES)


def sysctl_text(settings: Settings) -> str:
    return render("files/system/sysctl.conf.j2", ipv6=6 in settings.k3s.families)


def sysctl_values(settings: Settings) -> dict[str, str]:
    """What the drop-in sets: key → value."""
    lines = (line.partition("#")[0] for line in sysctl_text(settings).splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def mount_unit(path: str) -> str:
    """The name that systemd demands for the mount unit of `path` (systemd.unit(5), escaping)."""
    plain = path.strip("/")
    escaped = "".join(_escaped(char, first=index == 0) for index, char in enumerate(plain))
    return f"{escaped or '-'}.mount"


def mount_text(uuid: str, mount: str, filesystem: str) -> str:
    return render("files/system/data.mount.j2", uuid=uuid, mount=mount, filesystem=filesystem)


def _escaped(char: str, *, first: bool) -> str:
    if char == "/":
        return "-"
    if (char.isascii() and char.isalnum()) or char in ":_" or (char == "." and not first):
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
