"""What of an answer can be compared between two runs: everything but times, numbers that the system gives out, and load.

Blanked: times, process numbers (UPIDs, names of temporary files), digests, tickets, MACs and UUIDs that no request named, load and
usage, and what the node's own hardware says of itself. Lists of objects and of content types come in any order from Perl's hashes.
"""

from __future__ import annotations

import json
import re
from typing import Any

Given = frozenset[str]
"""The MACs and UUIDs that requests named, in lower case: these are compared."""

_ALWAYS = {"digest", "pid", "pstart", "starttime", "endtime", "ctime", "uptime", "ticket"}
_ALWAYS |= {"CSRFPreventionToken", "used_fraction", "netin", "netout"}
_MACHINE = {"cpu", "mem", "diskread", "diskwrite", "memhost"}
_NODE = {"cpu", "mem", "maxmem", "disk", "maxdisk"}
_VOLUME = {"used", "avail", "total"}
_HARDWARE = {"cpuinfo", "memory", "rootfs", "swap", "loadavg", "ksm", "kversion", "current-kernel", "cpu"}
_HARDWARE |= {"wait", "idle", "boot-info"}
_TEXTS = [
    (r"UPID:([^:]*):[0-9A-F]+:[0-9A-F]+:[0-9A-F]+:", r"UPID:\1:*:"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "*"),
    (r"tmp_dwnl\.\d+", "tmp_dwnl.*"),
    (r"pveupload-[0-9a-f]+", "pveupload-*"),
    (r"^ +\d+[KMG] .*% .*$", "*progress*"),
    (r"\([\d.]+ [KMG]?B/s\)", "(*)"),
    (r"(?<=,ctime=)\d+", "*"),
]
_MADE = re.compile(r"(?i)\b(?:BC:24:11(?::[0-9a-f]{2}){3}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
# what the recording's surroundings said, not Proxmox: a missing program, modules without their parts
_NOISE = re.compile(
    r"(Can't exec \"udevadm\": No such file or directory|Attempt to call undefined import method with arguments .*)"
    r" at \S+ line \d+(, <DATA> line \d+)?\."
)


def named(requests: list[dict[str, Any]]) -> Given:
    """The MACs and UUIDs in these requests."""
    return frozenset(found.lower() for found in _MADE.findall(json.dumps(requests)))


def told(log: Any, given: Given) -> Any:
    """A task's log: its lines, each with how far its number is off, and how many more `total` says there are."""
    if not isinstance(log, dict) or not isinstance(log.get("data"), list):
        return log
    lines = [(place, line) for place, line in enumerate(log["data"], 1) if not _noise(line, place)]
    shown = [{**line, "n": line["n"] - n} if _is_line(line) else line for n, line in lines]
    rest = {key: value for key, value in log.items() if key not in ("data", "total")}
    more = log["total"] - len(log["data"]) if isinstance(log.get("total"), int) else log.get("total")
    return {"lines": [likeness(line, given) for line in shown], "more": more, **rest}


def _is_line(line: Any) -> bool:
    return isinstance(line, dict) and isinstance(line.get("n"), int)


def _noise(line: Any, place: int) -> bool:
    return _is_line(line) and line["n"] == place and bool(_NOISE.fullmatch(str(line.get("t"))))


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
    return hidden | _HARDWARE if "cpuinfo" in value else hidden


def likeness(value: Any, given: Given) -> Any:
    """The comparable part."""
    if isinstance(value, dict):
        hidden = _hidden(value)
        shown = {key: _blank(part) if key in hidden else likeness(part, given) for key, part in value.items()}
        if value.get("key") == "digest":
            shown["value"] = "*"
        if isinstance(value.get("content"), str):
            shown["content"] = ",".join(sorted(value["content"].split(",")))
        return shown
    if isinstance(value, list):
        return sorted((likeness(part, given) for part in value), key=canonical)
    return _text(value, given) if isinstance(value, str) else value


def _text(value: str, given: Given) -> str:
    for pattern, replacement in _TEXTS:
        value = re.sub(pattern, replacement, value)
    return _MADE.sub(lambda found: found[0] if found[0].lower() in given else "*made*", value)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
