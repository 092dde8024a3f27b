"""The options of a virtual machine that the lab knows: their form, the privilege that a change needs, and when it takes effect."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.lab.pve import formats
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, Rule, Rules, structure

BUSES = {"ide": 4, "scsi": 31, "virtio": 16, "sata": 6}
DRIVES = tuple(f"{bus}{number}" for bus, count in BUSES.items() for number in range(count))
FIRMWARE_DISKS = ("efidisk0", "tpmstate0")
"""Drives of the real one that the lab does not make."""


def bus_of(slot: str) -> str:
    return slot.rstrip("0123456789")


_MANY = Rule(kind="integer", minimum=1)
_SYSTEMS = (
    "other",
    "wxp",
    "w2k",
    "w2k3",
    "w2k8",
    "wvista",
    "win7",
    "win8",
    "win10",
    "win11",
    "l24",
    "l26",
    "solaris",
)
_CONTROLLERS = ("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi")
_LOCKS = (
    "backup",
    "clone",
    "create",
    "migrate",
    "rollback",
    "snapshot",
    "snapshot-delete",
    "suspended",
    "suspending",
)

_KEYBOARDS = (
    """de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl tr"""
)


def _numbered(name: str, count: int, rule: Rule) -> Rules:
    return {f"{name}{number}": rule for number in range(count)}


# by the privilege; what belongs to "" is root's own. Drives, serial ports and the tags are asked for elsewhere too
_GROUPS: dict[str, Rules] = {
    "VM.Config.Options": {
        **dict.fromkeys("autostart localtime onboot protection reboot tdf template".split(), SWITCH),
        "agent": Rule(form=formats.agent),
        "bios": Rule(choices=("seabios", "ovmf")),
        "description": Rule(longest=8192),
        "keyboard": Rule(choices=tuple(_KEYBOARDS.split())),
        "migrate_downtime": Rule(kind="number", minimum=0),
        "migrate_speed": WHOLE,
        "name": Rule(form=formats.dns_name),
        "ostype": Rule(choices=_SYSTEMS),
        "startdate": Rule(pattern=r"now|\d{4}-\d{1,2}-\d{1,2}(T\d{1,2}:\d{1,2}:\d{1,2})?"),
        "startup": Rule(form=formats.startup),
        "tags": Rule(form=formats.tags),
    },
    "VM.Config.CPU": {
        **dict.fromkeys("cores smp sockets vcpus".split(), _MANY),
        "cpu": Rule(form=formats.processor),
        "cpulimit": Rule(kind="number", minimum=0, maximum=128),
        "cpuunits": Rule(kind="integer", minimum=1, maximum=262144),
        "numa": SWITCH,
        **_numbered("numa", 8, TEXT),
    },
    "VM.Config.Memory": {
        "allow-ksm": Rule(kind="boolean", new=True),
        "balloon": WHOLE,
        "memory": Rule(form=formats.memory),
        "shares": Rule(kind="integer", minimum=0, maximum=50000),
    },
    "VM.Config.HWType": {
        **dict.fromkeys("acpi kvm tablet".split(), SWITCH),
        **dict.fromkeys("audio0 hotplug rng0 vga watchdog".split(), TEXT),
        "machine": Rule(form=formats.machine),
        "scsihw": Rule(choices=_CONTROLLERS),
        "smbios1": Rule(form=formats.smbios, longest=512),
        **_numbered("serial", 4, Rule(pattern=r"/dev/[^,]+|socket")),
    },
    "VM.Config.Network": _numbered("net", 32, Rule(form=formats.card)),
    "VM.Config.Disk": {
        **{slot: Rule(form=structure("file", formats.DRIVES[bus_of(slot)])) for slot in DRIVES},
        **dict.fromkeys(FIRMWARE_DISKS, TEXT),
        "boot": Rule(form=formats.boot),
        "bootdisk": Rule(pattern=r"(ide|sata|scsi|virtio)\d+"),
        "vmstatestorage": TEXT,
    },
    "VM.Config.Cloudinit": {
        "cicustom": TEXT,
        "cipassword": TEXT,
        "citype": Rule(choices=("configdrive2", "nocloud", "opennebula")),
        "ciupgrade": SWITCH,
        "ciuser": TEXT,
        "nameserver": Rule(form=formats.addresses),
        "searchdomain": TEXT,
        "sshkeys": Rule(form=formats.keys),
        **_numbered("ipconfig", 32, Rule(form=formats.address)),
    },
    "VM.PowerMgmt": {"freeze": SWITCH},
    "": {
        **dict.fromkeys("affinity amd-sev args hookscript ivshmem spice_enhancements".split(), TEXT),
        "intel-tdx": Rule(new=True),
        "arch": Rule(choices=("x86_64", "aarch64")),
        "hugepages": Rule(choices=("any", "2", "1024")),
        "keephugepages": SWITCH,
        "lock": Rule(choices=_LOCKS),
        "vmgenid": Rule(pattern=rf"{formats.UUID}|[01]"),
        **_numbered("hostpci", 16, TEXT),
        **_numbered("parallel", 3, Rule(pattern=r"/dev/parport\d+|/dev/usb/lp\d+")),
        **_numbered("usb", 14, TEXT),
        **_numbered("virtiofs", 10, TEXT),
    },
}
_LIVE = """description hookscript lock migrate_downtime migrate_speed name onboot protection shares startup tags vmstatestorage""".split()


@dataclass(frozen=True, kw_only=True)
class Option:
    """A `live` option of a running machine changes at once."""

    rule: Rule
    privilege: str
    live: bool


OPTIONS: dict[str, Option] = {
    name: Option(rule=rule, privilege=privilege, live=name in _LIVE or privilege == "VM.Config.Cloudinit")
    for privilege, rules in _GROUPS.items()
    for name, rule in rules.items()
}
RULES: Rules = {name: option.rule for name, option in OPTIONS.items()}
