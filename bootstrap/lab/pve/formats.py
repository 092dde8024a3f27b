"""The formats of a machine's options: what makes a text a MAC, a DNS name, a drive, a network card."""

from __future__ import annotations

import contextlib
import ipaddress
import re

from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule, Rules, properties, structure

MODELS = tuple(
    """e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa ne2k_pci pcnet rtl8139 virtio
vmxnet3""".split()
)
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
    good = re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", text)
    return "" if good else f"invalid urlencoded string: {text}\n"


def valid_keys(text: str) -> bool:
    """Whether every line is a public key, or nothing."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return all(re.search(r"(ssh|ecdsa|sk)-\S+ AAAA[A-Za-z0-9+/=]+", " ".join(line)) for line in lines)


def startup(_: str, text: str) -> str:
    good = all(
        re.fullmatch(r"(order=)?\d+|up=\d+|down=\d+", part) for part in text.split(",") if part.strip()
    )
    return "" if good and text else "unable to parse startup options\n"


def _is(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], text: str) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(ipaddress.ip_address(text), kind)
    return False


def _configuration(
    kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], words: tuple[str, ...], name: str
) -> Rule:
    def complain(_: str, text: str) -> str:
        address, _, prefix = text.partition("/")
        limit = 32 if kind is ipaddress.IPv4Address else 128
        good = _is(kind, address) and prefix.isdigit() and int(prefix) <= limit
        return (
            ""
            if good or text in words
            else f"value does not look like a valid {name} network configuration\n"
        )

    return Rule(form=complain)


def _address(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], name: str, requires: str) -> Rule:
    wrong = f"value does not look like a valid {name} address\n"
    return Rule(form=lambda _, text: "" if _is(kind, text) else wrong, requires=requires)


address = structure(
    "",
    {
        "ip": _configuration(ipaddress.IPv4Address, ("dhcp", "manual"), "ipv4"),
        "gw": _address(ipaddress.IPv4Address, "IPv4", "ip"),
        "ip6": _configuration(ipaddress.IPv6Address, ("auto", "dhcp", "manual"), "ipv6"),
        "gw6": _address(ipaddress.IPv6Address, "IPv6", "ip6"),
    },
)


def addresses(_: str, text: str) -> str:
    wrong = [
        one
        for one in split_tags(text)
        if not (_is(ipaddress.IPv4Address, one) or _is(ipaddress.IPv6Address, one))
    ]
    return f"value does not look like a valid address: {wrong[0]}\n" if wrong else ""


def _volume(_: str, text: str) -> str:
    good = text in ("none", "cdrom") or re.fullmatch(r"/.*|(?i:[a-z][a-z0-9._-]*[a-z0-9]):.+", text)
    return "" if good else f"unable to parse volume ID '{text}'\n"


def _size(_: str, text: str) -> str:
    good = re.fullmatch(r"\d+(\.\d+)?[KMGT]?", text)
    return "" if good else f"value does not look like a valid disk size: {text}\n"


def _bridge(_: str, text: str) -> str:
    return "" if re.fullmatch(r"[-_.\w]+", text) else f"invalid bridge ID '{text}'\n"


def _parts(switches: str, texts: str, rest: Rules) -> Rules:
    return dict.fromkeys(switches.split(), SWITCH) | dict.fromkeys(texts.split(), TEXT) | rest


_DRIVE: Rules = _parts(
    "backup detect_zeroes replicate shared snapshot",
    "import-from bps bps_rd bps_wr iops iops_rd iops_wr mbps mbps_rd mbps_wr",
    {
        "file": Rule(required=True, form=_volume),
        "aio": Rule(choices=("native", "threads", "io_uring")),
        "cache": Rule(choices=("none", "writethrough", "writeback", "unsafe", "directsync")),
        "discard": Rule(choices=("ignore", "on")),
        "format": Rule(choices=("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")),
        "media": Rule(choices=("cdrom", "disk")),
        "rerror": Rule(choices=("ignore", "report", "stop")),
        "serial": Rule(form=keys, longest=60),
        "size": Rule(form=_size),
        "werror": Rule(choices=("enospc", "ignore", "report", "stop")),
    },
)
_QUEUES = Rule(kind="integer", minimum=2)
_OWN: dict[str, Rules] = {
    "ide": {"ssd": SWITCH, "wwn": TEXT, "model": TEXT},
    "sata": {"ssd": SWITCH, "wwn": TEXT},
    "scsi": _parts("iothread ro scsiblock ssd", "product vendor wwn", {"queues": _QUEUES}),
    "virtio": {"iothread": SWITCH, "ro": SWITCH},
}
DRIVES = {bus: _DRIVE | own for bus, own in _OWN.items()}
"""Bus → what a drive's text may say there."""
_NETWORK: Rules = {
    "model": Rule(choices=MODELS, required=True),
    "macaddr": Rule(form=_mac),
    "bridge": Rule(form=_bridge),
    "mtu": Rule(kind="integer", minimum=1, maximum=65520),
    "queues": Rule(kind="integer", minimum=0, maximum=64),
    "rate": Rule(kind="number", minimum=0),
    "tag": Rule(kind="integer", minimum=1, maximum=4094),
    "trunks": Rule(pattern=r"\d+(-\d+)?(;\d+(-\d+)?)*"),
}
CARD = _parts("firewall link_down host-tunnel", "", _NETWORK)
_CARD = structure("model", CARD)
_ENABLED: Rules = {"enabled": Rule(kind="boolean", required=True)}
agent = structure(
    "enabled",
    _parts("fstrim_cloned_disks freeze-fs-on-backup freeze-fs guest-fsfreeze", "", _ENABLED)
    | {"type": Rule(choices=("virtio", "isa"))},
)
smbios = structure(
    "", _parts("base64", "version serial manufacturer product sku family", {"uuid": Rule(pattern=UUID)})
)
_TYPE = Rule(pattern=r"pc|q35|virt|pc-(i440fx|q35)-\d+(\.\d+)+(\+pve\d+)?")
machine = structure("type", _parts("enable-s3 enable-s4", "viommu", {"type": _TYPE}))
memory = structure("current", {"current": Rule(kind="integer", minimum=16, required=True)})
