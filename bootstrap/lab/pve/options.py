"""The options of a virtual machine that the lab knows: their form, the privilege that a change needs, and when it takes effect."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.lab.pve import formats
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, Rule, Rules

BUSES = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
DRIVES = tuple(f"{bus}{number}" for bus, count in BUSES.items() for number in range(count))
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

# by the last word of the privilege VM.Config.*
_GROUPS: dict[str, Rules] = {
    "Options": {
        **dict.fromkeys("acpi autostart kvm onboot protection tablet".split(), SWITCH),
        **dict.fromkeys("description hotplug startup".split(), TEXT),
        "agent": Rule(form=formats.agent),
        "lock": Rule(choices=_LOCKS),
        "name": Rule(form=formats.dns_name),
        "ostype": Rule(choices=_SYSTEMS),
        "tags": Rule(form=formats.tags),
    },
    "CPU": {
        "cores": _MANY,
        "cpu": Rule(form=formats.processor),
        "cpulimit": Rule(kind="number", minimum=0, maximum=128),
        "cpuunits": Rule(kind="integer", minimum=1, maximum=262144),
        "numa": SWITCH,
        "sockets": _MANY,
    },
    "Memory": {"balloon": WHOLE, "memory": Rule(form=formats.memory)},
    "HWType": {
        "bios": Rule(choices=("seabios", "ovmf")),
        "machine": Rule(form=formats.machine),
        "rng0": TEXT,
        "scsihw": Rule(choices=_CONTROLLERS),
        "smbios1": Rule(form=formats.smbios),
        "vga": TEXT,
        "vmgenid": Rule(pattern=rf"{formats.UUID}|[01]"),
        **{f"serial{number}": Rule(pattern=r"socket|/dev/.+") for number in range(4)},
    },
    "Network": {
        **{f"net{number}": Rule(form=formats.card) for number in range(32)},
        **{f"ipconfig{number}": Rule(form=formats.address) for number in range(32)},
        "nameserver": TEXT,
        "searchdomain": TEXT,
    },
    "Disk": {**dict.fromkeys(DRIVES, Rule(form=formats.drive)), "boot": Rule(form=formats.boot)},
    "Cloudinit": {"ciupgrade": SWITCH, "ciuser": TEXT, "sshkeys": Rule(form=formats.keys)},
}
_LIVE = """agent autostart ciupgrade ciuser description lock name nameserver onboot protection searchdomain sshkeys startup tablet tags""".split()


@dataclass(frozen=True, kw_only=True)
class Option:
    """A `live` option of a running machine changes at once."""

    rule: Rule
    privilege: str
    live: bool


OPTIONS: dict[str, Option] = {
    name: Option(rule=rule, privilege=f"VM.Config.{group}", live=name in _LIVE or name.startswith("ipconfig"))
    for group, rules in _GROUPS.items()
    for name, rule in rules.items()
}
RULES: Rules = {name: option.rule for name, option in OPTIONS.items()}
ROOT_ONLY = ("lock", "vmgenid")
