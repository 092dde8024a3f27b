"""What of an answer can be compared between two runs: everything but times, numbers that the system gives out, and load."""

from __future__ import annotations

import json
import re
from typing import Any

_ALWAYS = {
    "digest",
    "pid",
    "pstart",
    "starttime",
    "endtime",
    "ctime",
    "uptime",
    "vmgenid",
    "repoid",
    "ssl_fingerprint",
    "used_fraction",
    "netin",
    "netout",
}
_MACHINE = {"cpu", "mem", "diskread", "diskwrite", "memhost"}
_NODE = {"cpu", "mem", "maxmem", "disk", "maxdisk"}
_VOLUME = {"used", "avail", "total"}
_STATUS = {
    "cpuinfo",
    "memory",
    "rootfs",
    "swap",
    "loadavg",
    "ksm",
    "kversion",
    "current-kernel",
    "cpu",
    "wait",
    "idle",
    "boot-info",
}
_TEXTS = [
    (r"UPID:([^:]*):[0-9A-F]+:[0-9A-F]+:[0-9A-F]+:", r"UPID:\1:*:"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "*"),
    (r"tmp_dwnl\.\d+", "tmp_dwnl.*"),
    (r"pveupload-[0-9a-f]+", "pveupload-*"),
    (r"^ +\d+[KMG] .*% .*$", "*progress*"),
    (r"\([\d.]+ [KMG]?B/s\)", "(*)"),
    (
        r"creation-qemu=[\d.]+,ctime=\d+",
        "creation-qemu=*,ctime=*",
    ),  # both releases were recorded over one QEMU
    (r"^pve-manager/([\d.]+)/\w+$", r"pve-manager/\1/*"),
    (r"qemu-img\.real", "qemu-img"),  # the recording's wrapper
    (r" line \d+\.", " line *."),
]
# what Perl said about programs and modules that the recording's machine did not have
_NOISE = re.compile(r'Can\'t exec "udevadm"|Attempt to call undefined import method')


def told(log: dict[str, Any]) -> list[str]:
    """The lines of a task's log."""
    lines = sorted(log["data"], key=lambda line: int(line["n"]))
    return [str(likeness(line["t"])) for line in lines if not _NOISE.match(line["t"])]


def _blank(value: Any) -> Any:
    """The shape alone: which keys there are."""
    return {key: _blank(part) for key, part in value.items()} if isinstance(value, dict) else "*"


def _hidden(value: dict[str, Any]) -> set[str]:
    """The keys whose values no two runs share, by what the value describes."""
    hidden = set(_ALWAYS)
    if "vmid" in value:
        hidden |= _MACHINE
    if value.get("type") in ("node", "storage") or "ssl_fingerprint" in value:
        hidden |= _NODE
    if "used" in value or "avail" in value:
        hidden |= _VOLUME
    return hidden | _STATUS if "cpuinfo" in value else hidden


def likeness(value: Any) -> Any:
    """The comparable part. Lists of objects come in any order from Perl's hashes, and so do lists of content types."""
    if isinstance(value, dict):
        hidden = _hidden(value)
        shown = {key: _blank(part) if key in hidden else likeness(part) for key, part in value.items()}
        if value.get("key") in hidden:
            shown["value"] = "*"
        if isinstance(value.get("content"), str):
            shown["content"] = ",".join(sorted(value["content"].split(",")))
        return shown
    if isinstance(value, list):
        return sorted((likeness(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
    if isinstance(value, str):
        for pattern, replacement in _TEXTS:
            value = re.sub(pattern, replacement, value)
    return value
