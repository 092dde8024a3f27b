"""What a guest answers through QEMU's agent, where the lab has no real guest: a Debian 13 with a handful of programs."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTERS = [f"{way}-{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errs", "dropped")]
_SYSTEM = {
    "id": "debian",
    "name": "Debian GNU/Linux",
    "pretty-name": "Debian GNU/Linux 13 (trixie)",
    "version": "13 (trixie)",
    "version-id": "13",
    "machine": "x86_64",
    "kernel-release": "6.12.0-cloud-amd64",
    "kernel-version": "#1 SMP",
}


class GuestError(Exception):
    """What the agent says went wrong."""


@dataclass(frozen=True, kw_only=True)
class _Program:
    """A started program: when it ends, in seconds of time.monotonic, how, and what it said."""

    ends: float
    code: int
    out: str


class Guest:
    """One running guest; `addresses` by MAC, with prefix lengths."""

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self._addresses = addresses
        self._programs: dict[int, _Program] = {}

    def osinfo(self) -> dict[str, Any]:
        return dict(_SYSTEM)

    def interfaces(self) -> list[dict[str, Any]]:
        cards = {"lo": ("00:00:00:00:00:00", ["127.0.0.1/8", "::1/128"])}
        for number, (mac, addresses) in enumerate(self._addresses.items()):
            local = [] if any(one.startswith("fe80:") for one in addresses) else [f"{link_local(mac)}/64"]
            cards[f"eth{number}"] = (mac.lower(), [*addresses, *local])
        return [
            {
                "name": name,
                "hardware-address": mac,
                "ip-addresses": [_address(one) for one in addresses],
                "statistics": dict.fromkeys(_COUNTERS, 0),
            }
            for name, (mac, addresses) in cards.items()
        ]

    def execute(self, words: list[str]) -> int:
        """Starts a program: its process number."""
        name, arguments = words[0].removeprefix("/usr").removeprefix("/bin/"), words[1:]
        if name not in ("echo", "true", "false", "sleep"):
            raise GuestError(f"Failed to execute child process “{words[0]}” (No such file or directory)")
        seconds = float(arguments[0]) if name == "sleep" else 0.0
        out = " ".join(arguments) + "\n" if name == "echo" else ""
        number = 1000 + len(self._programs)
        self._programs[number] = _Program(ends=time.monotonic() + seconds, code=int(name == "false"), out=out)
        return number

    def outcome(self, number: int) -> dict[str, Any]:
        """Whether the program has ended, and with what."""
        if number not in self._programs:
            raise GuestError("Invalid parameter 'pid'")
        program = self._programs[number]
        if time.monotonic() < program.ends:
            return {"exited": 0}
        said = {"out-data": program.out} if program.out else {}
        return {"exited": 1, "exitcode": program.code, **said}


def _address(text: str) -> dict[str, Any]:
    one = ipaddress.ip_interface(text)
    return {
        "ip-address": str(one.ip),
        "ip-address-type": f"ipv{one.version}",
        "prefix": one.network.prefixlen,
    }


def link_local(mac: str) -> str:
    """The address that IPv6 makes of a MAC."""
    parts = bytes.fromhex(mac.replace(":", ""))
    own = bytes([parts[0] ^ 2]) + parts[1:3] + b"\xff\xfe" + parts[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + own))
