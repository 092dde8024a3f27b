"""The formats of a machine's options: what makes a text a MAC, a DNS name, a drive, a network card."""

from __future__ import annotations

import re

from bootstrap.lab.pve.schema import NEEDED, SWITCH, TEXT, Rule, Rules, properties, structure

MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "vmxnet3")
_CPUS = """kvm32 kvm64 max host qemu32 qemu64 athlon phenom core2duo coreduo pentium3 Opteron_G5 EPYC EPYC-Rome EPYC-Milan EPYC-Genoa
Haswell Broadwell Skylake-Server Cascadelake-Server Icelake-Server SapphireRapids x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4""".split()
_UNICAST = re.compile(r"(?i)[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
UUID = r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"


def _mac(_: str, text: str) -> str:
    return "" if _UNICAST.fullmatch(text) else "value does not look like a valid unicast MAC address\n"


def network_card(text: str) -> dict[str, str]:
    """The parts of `virtio=MAC,bridge=vmbr0`, with `model` and, when given, `macaddr`."""
    given = properties(text, "model")
    for model in MODELS:
        if model in given:
            given |= {"model": model, "macaddr": given.pop(model)}
    return given


def card(name: str, text: str) -> str:
    return _CARD(name, ",".join(f"{key}={value}" for key, value in network_card(text).items()))


def dns_name(_: str, text: str) -> str:
    label = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
    return (
        "" if re.fullmatch(rf"{label}(\.{label})*", text) else "value does not look like a valid DNS name\n"
    )


def vmid(_: str, text: str) -> str:
    return "" if re.fullmatch(r"[1-9]\d{2,8}", text) else "value does not look like a valid VM ID\n"


def vmids(name: str, text: str) -> str:
    return next((wrong for part in split_tags(text) if (wrong := vmid(name, part))), "")


def split_tags(text: str) -> list[str]:
    return [tag for tag in re.split(r"[,;\s]+", text) if tag]


def tags(_: str, text: str) -> str:
    good = all(re.fullmatch(r"(?i)[a-z0-9_][a-z0-9_\-+.]*", tag) for tag in split_tags(text))
    return "" if good else "invalid characters in tag\n"


def processor(_: str, text: str) -> str:
    kind = properties(text, "cputype").get("cputype", "")
    known = kind in _CPUS or kind.startswith("custom-")
    return "" if known else f"Built-in cputype '{kind}' is not defined (missing 'custom-' prefix?)\n"


def boot_devices(text: str) -> list[str]:
    """The devices of a boot order, first to last."""
    return [device for device in properties(text, "legacy").get("order", "").split(";") if device]


def boot(name: str, text: str) -> str:
    bad = [
        device
        for device in boot_devices(text)
        if not re.fullmatch(r"(ide|sata|scsi|virtio|net|usb|hostpci)\d+", device)
    ]
    return f"format error\n{name}.order: invalid format - invalid boot device '{bad[0]}'\n" if bad else ""


def keys(_: str, text: str) -> str:
    return "" if re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", text) else "invalid urlencoded string: \n"


def address(name: str, text: str) -> str:
    given, lines = properties(text), ""
    for ip, gateway, words in (("ip", "gw", ("dhcp",)), ("ip6", "gw6", ("dhcp", "auto"))):
        if gateway in given and ip not in given:
            lines += f"{name}.{ip}: missing property required by '{gateway}'\n"
        if ip in given and given[ip] not in words and not re.fullmatch(r"[0-9a-fA-F.:]+/\d+", given[ip]):
            lines += f"{name}.{ip}: invalid format - value does not look like a valid network configuration\n"
    return f"format error\n{lines}" if lines else ""


def _parts(switches: str, texts: str, rest: Rules) -> Rules:
    return dict.fromkeys(switches.split(), SWITCH) | dict.fromkeys(texts.split(), TEXT) | rest


_DRIVE: Rules = {
    "file": NEEDED,
    "aio": Rule(choices=("native", "threads", "io_uring")),
    "cache": Rule(choices=("none", "writethrough", "writeback", "unsafe", "directsync")),
    "discard": Rule(choices=("ignore", "on")),
    "format": Rule(choices=("raw", "qcow2", "vmdk")),
    "media": Rule(choices=("cdrom", "disk")),
    "queues": Rule(kind="integer", minimum=2),
    "size": Rule(pattern=r"\d+(\.\d+)?[KMGT]?"),
}
drive = structure(
    "file",
    _parts(
        "backup detect_zeroes iothread replicate ro shared snapshot ssd", "import-from serial wwn", _DRIVE
    ),
)
_NETWORK: Rules = {
    "model": Rule(choices=MODELS, required=True),
    "macaddr": Rule(form=_mac),
    "bridge": Rule(pattern=r"[-_.\w\d]+"),
    "mtu": Rule(kind="integer", minimum=1, maximum=65520),
    "queues": Rule(kind="integer", minimum=0, maximum=64),
    "rate": Rule(kind="number", minimum=0),
    "tag": Rule(kind="integer", minimum=1, maximum=4094),
}
_CARD = structure("model", _parts("firewall link_down", "trunks", _NETWORK))
_ENABLED: Rules = {"enabled": Rule(kind="boolean", required=True)}
agent = structure("enabled", _parts("fstrim_cloned_disks freeze-fs-on-backup", "type", _ENABLED))
smbios = structure(
    "", _parts("base64", "version serial manufacturer product sku family", {"uuid": Rule(pattern=UUID)})
)
_TYPE = Rule(pattern=r"pc|q35|virt|pc-(i440fx|q35)-\d+(\.\d+)+(\+pve\d+)?")
machine = structure("type", _parts("enable-s3 enable-s4", "viommu", {"type": _TYPE}))
memory = structure("current", {"current": Rule(kind="integer", minimum=16, required=True)})
