"""Recorded flows: where they are, and what else than Proxmox took part in them.

A flow tells its start state, the seed that made it, and the steps. The rest of its surroundings - what was in the files, what the
guests said of themselves - it tells only through answers; it is taken from there where Proxmox merely passed it on. The
commonest telling counts, so one changed answer stays visible beside the others.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap.errors import LabError
from bootstrap.lab.pve.images import blank
from bootstrap.lab.pve.storage import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_USUAL_SIZE = 2 << 30


def find(places: Iterable[Path]) -> list[Path]:
    """The flow files: those named, and those in the named folders or their `flows`."""
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise LabError(f"{place}: there is no such file or folder; name the folder of the recorded flows")
        inside = sorted({*place.glob("*.json"), *place.glob("flows/*.json")})
        found += [one for one in inside if _is_flow(one)] if place.is_dir() else [place]
    if not found:
        raise LabError(f"{', '.join(map(str, places))}: no recorded flows there; name the folder of *.json")
    return found


def _is_flow(file: Path) -> bool:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(values, dict) and {"start", "seed", "steps"} <= values.keys()


class Recording:
    """One flow, read."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.start: dict[str, Any] = values["start"]
        self.seed: list[dict[str, Any]] = values["seed"]
        self.steps: list[dict[str, Any]] = values["steps"]

    @classmethod
    def load(cls, file: Path) -> Recording:
        try:
            return cls(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"{file}: this is no recorded flow ({error}); name the folder of the flows"
            ) from error

    def exchanges(self) -> Iterator[dict[str, Any]]:
        """Every request with its response, also those that were sent at once."""
        for step in [*self.seed, *self.steps]:
            yield from step.get("parallel", [step])

    def requests(self) -> list[dict[str, Any]]:
        return [one["request"] for one in self.exchanges()]

    @cached_property
    def _strings(self) -> list[str]:
        """Every text of every answer and log."""
        return list(_strings([(one["response"], one.get("task")) for one in self.exchanges()]))

    def plan(self) -> dict[str, Any]:
        """The plan of a lab that looks like the recording's node before the seed."""
        start = self.start
        bridge, node = start["bridges"][0], start["nodes"][0]
        network = ".".join(bridge["address"].split(".")[:3]) + f".0/{bridge['netmask']}"
        return {
            "environment": "recording",
            "pve": "8.4" if start["version"]["release"].startswith("8") else "9.2",
            "version": start["version"],
            "qemu": _commonest(re.findall(r"creation-qemu=([\d.]+)", "\n".join(self._strings))),
            "nodes": [one["node"] for one in start["nodes"]],
            "storages": [
                {key: one[key] for key in ("storage", "type", "content", "path", "shared") if key in one}
                for one in start["storages"]
            ],
            "containers": [one for one in start["cluster_resources"] if one["type"] == "lxc"],
            "bridge": bridge["iface"],
            "ipv4": {"network": network, "gateway": bridge["gateway"]},
            "node_address": bridge["address"],
            "cpus": node.get("maxcpu", 2),
            "deaf_guests": True,  # nothing was installed on the recorded machines
            "guest_addresses": self._addresses(),
            "first_statistics": 3600 if node["status"] == "unknown" else 0,
        }

    def _addresses(self) -> dict[str, list[str]]:
        """MAC → addresses, as the guests' agents told them more than once."""
        told: dict[str, list[Any]] = {}
        for one in self.exchanges():
            if (
                one["request"]["path"].endswith("/network-get-interfaces")
                and one["response"]["status"] == 200
            ):
                for card in one["response"]["body"]["data"]["result"]:
                    addresses = [f"{ip['ip-address']}/{ip['prefix']}" for ip in card.get("ip-addresses", [])]
                    told.setdefault(card.get("hardware-address", "").upper(), []).append(tuple(addresses))
        return {mac: list(_commonest(many)) for mac, many in told.items() if len(many) > 1}

    def agent_answers_from(self) -> int | None:
        """The first step at which a guest's agent answered."""
        for number, step in enumerate(self.steps):
            for one in step.get("parallel", [step]):
                if (
                    re.search(r"/agent/[\w-]+$", one["request"]["path"])
                    and one["response"]["status"] == 200
                    and isinstance(one["response"]["body"]["data"], dict)
                ):
                    return number
        return None

    def content(self, name: str, size: int, checksum: str = "") -> bytes:
        """A file that can stand for the recorded one; of the same bytes wherever the recording's were the same."""
        names, mark = self._names(name, checksum), hashlib.sha512((checksum or name).encode()).digest()
        if not any(one.lower().endswith((".qcow2", ".img")) for one in names) or self._broken(names):
            return (bytes(max(0, size - len(mark))) + mark)[:size]
        backing = b"/etc/passwd" if self._backed(names) else b""
        image = blank(self._image_size(names), length=size, backing=backing)
        return image[: -len(mark)] + mark

    def _names(self, name: str, checksum: str) -> set[str]:
        """The names under which the same content appears, on the file server and on the storages."""
        files = self.start["http_server"]["files"]
        names = {name} | {one for one, file in files.items() if checksum and file["sha512"] == checksum}
        for request in self.requests():
            params = request.get("params") or {}
            if str(params.get("url", "")).rpartition("/")[2] in names and "filename" in params:
                names.add(params["filename"])
        return names

    def _ends(self, names: set[str]) -> Iterator[str]:
        """How the tasks ended that received such a file."""
        for one in self.exchanges():
            request = one["request"]
            received = {part["filename"] for part in request.get("multipart", []) if "filename" in part}
            received.add(str((request.get("params") or {}).get("url", "")).rpartition("/")[2])
            if received & names and "task" in one:
                yield str(one["task"]["polls"][-1]["body"]["data"].get("exitstatus"))

    def _backed(self, names: set[str]) -> bool:
        return any("backing file not allowed" in end for end in self._ends(names))

    def _broken(self, names: set[str]) -> bool:
        return any("Image is not in qcow2 format" in end for end in self._ends(names))

    def _image_size(self, names: set[str]) -> int:
        """The virtual size, in bytes: told by an import's log, a drive's text, or the volume's own answer."""
        found: list[Any] = []
        for one in self.exchanges():
            lines = [line["t"] for line in one.get("task", {}).get("log", {}).get("body", {}).get("data", [])]
            for told, made in itertools.pairwise(lines):
                source = re.fullmatch(r"create full clone of drive \(.*[:/](.+)\)", told)
                if source and source[1] in names and (size := re.search(r" size=(\d+) ", f"{made} ")):
                    found.append(int(size[1]))
            data = one["response"]["body"]["data"] if isinstance(one["response"]["body"], dict) else None
            if isinstance(data, dict) and Path(str(data.get("path", ""))).name in names and "size" in data:
                found.append(data["size"])
        marks = "|".join(map(re.escape, sorted(names)))
        for text in self._strings:
            found += [
                size_of(one) for one in re.findall(rf"/(?:{marks}),media=cdrom,size=([\d.]+[KMGT]?)", text)
            ]
        return int(_commonest(found) or _USUAL_SIZE)

    def served_files(self) -> dict[str, bytes]:
        """What the recording's file server has to serve."""
        files = self.start["http_server"]["files"]
        return {name: self.content(name, file["size"], file["sha512"]) for name, file in files.items()}


def _commonest(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)
