"""What is missing before a run, each finding with the line that mends it; and every line that a new Proxmox needs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bootstrap.config.base import Environment
from bootstrap.errors import InvalidEnvironment, ProxmoxError, RzpError
from bootstrap.machine import Machine
from bootstrap.proxmox import images
from bootstrap.proxmox.privileges import extend_line, grant_line, grants
from bootstrap.proxmox.session import Client
from bootstrap.proxmox.setup import print_setup

__all__ = ["Finding", "check", "print_setup"]

_OLDEST = (8, 4)
_GIB = 2**30
# Room for the image and the seeds.
_IMAGE_GIB = 2
_TOOLS = (
    ("pyinfra", True, "make install puts it into .venv/bin"),
    ("ssh", False, "install OpenSSH's client to log in by hand"),
    ("kubectl", False, "install kubectl to use the cluster from here"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    state: Literal["ok", "warn", "fail"]
    place: str
    text: str
    fix: str = ""


def check(
    connect: Callable[[], Client],
    environment: Environment,
    machines: Sequence[Machine],
    project: Path = Path(),
) -> list[Finding]:
    """Reads only. What follows from an unreachable Proxmox is not asked for."""
    found = list(_tools())
    try:
        client = connect()
        version = client.get("/version")
    except RzpError as error:
        return [Finding("fail", "Proxmox", str(error)), *found]
    found.insert(
        0,
        Finding(
            "ok", "Proxmox", f"{client.url} answers, its certificate checked against {client.access.trust}"
        ),
    )
    major, minor = (int(part) for part in str(version["release"]).split(".")[:2])
    found.append(_version(major, minor, str(version["version"])))
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("privileges", partial(_privileges, client, environment, major)),
        ("nodes", partial(_nodes, client, environment)),
    ]
    taken = _taken(client)
    for node in sorted({machine.node for machine in machines}):
        missing = [machine for machine in machines if machine.node == node and machine.vmid not in taken]
        looks += [
            (node, partial(_storages, client, environment, node, missing)),
            (node, partial(_bridge, client, environment, node)),
            (node, partial(_image, client, environment, node, project)),
        ]
    for place, look in looks:
        found += _guarded(place, look)
    return found


def obstacles(client: Client, environment: Environment, machines: Sequence[Machine]) -> list[Finding]:
    """What would make these machines fail half-way: storages and bridges, two calls per node."""
    found: list[Finding] = []
    for node in sorted({machine.node for machine in machines}):
        here = [machine for machine in machines if machine.node == node]
        found += _storages(client, environment, node, here)
        found += _bridge(client, environment, node)
    return [finding for finding in found if finding.state == "fail"]


def _guarded(place: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """One look that fails does not hide the others."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except ProxmoxError as error:
        found.append(Finding("fail", place, str(error)))
    return found


def _tools() -> Iterator[Finding]:
    place, beside = "this computer", str(Path(sys.executable).parent)
    for tool, needed, fix in _TOOLS:
        if path := shutil.which(tool):
            yield Finding("ok", place, f"{tool} is {path}")
        elif path := shutil.which(tool, path=beside):
            yield Finding("warn", place, f"{tool} is {path}, not on PATH", f"export PATH={beside}:$PATH")
        else:
            yield Finding("fail" if needed else "warn", place, f"{tool} is not there", fix)


def _version(major: int, minor: int, full: str) -> Finding:
    if (major, minor) < _OLDEST:
        return Finding(
            "fail", "version", f"Proxmox VE {full}", "8.4 is the oldest that imports cloud images; upgrade it"
        )
    return Finding("ok", "version", f"Proxmox VE {full}")


def _privileges(client: Client, environment: Environment, major: int) -> Iterator[Finding]:
    access = client.access
    for grant in grants(environment, major):
        held = client.get("/access/permissions", {"path": grant.probe}).get(grant.probe, {})
        lacking = [privilege for privilege in grant.privileges if privilege not in held]
        place = f"{access.identity} on {grant.path}"
        if not lacking:
            yield Finding("ok", place, f"has the privileges of {grant.role}")
        granting = grant_line(grant.path, grant.role, access.user, access.token_name)
        for privilege in lacking:
            fix = granting if len(lacking) == len(grant.privileges) else extend_line(grant.role, privilege)
            yield Finding("fail", place, f"lacks {privilege}", fix)


def _nodes(client: Client, environment: Environment) -> Iterator[Finding]:
    there = {str(entry["node"]): entry for entry in client.get("/nodes")}
    for node in environment.proxmox.nodes:
        if node not in there:
            known = ", ".join(sorted(there))
            yield Finding(
                "fail", node, f"is no node of this Proxmox; there are {known}", "correct proxmox.nodes"
            )
        elif there[node].get("status") == "offline":
            yield Finding("fail", node, "is offline", "switch it on, or take it out of proxmox.nodes")


def _taken(client: Client) -> set[int]:
    try:
        return {int(entry["vmid"]) for entry in client.get("/cluster/resources", {"type": "vm"})}
    except ProxmoxError:
        return set()


def _storages(
    client: Client, environment: Environment, node: str, missing: Sequence[Machine]
) -> Iterator[Finding]:
    there = {str(entry["storage"]): entry for entry in client.get(f"/nodes/{node}/storage")}
    proxmox = environment.proxmox
    disks = sum(disk.gib for machine in missing for disk in machine.disks)
    wanted = {
        proxmox.image_storage: (("iso", "import"), _IMAGE_GIB),
        proxmox.disk_storage: (("images",), disks),
    }
    if proxmox.image_storage == proxmox.disk_storage:
        wanted = {proxmox.disk_storage: (("iso", "import", "images"), disks + _IMAGE_GIB)}
    for name, (contents, gib) in wanted.items():
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            yield Finding(
                "fail",
                f"{node}, storage {name}",
                f"is not there, or may not be seen; seen are {known}",
                "correct proxmox.image_storage or disk_storage, or grant the role (see privileges)",
            )
            continue
        yield from _storage(f"{node}, storage {name}", name, there[name], contents, gib)


def _storage(
    place: str, name: str, entry: dict[str, Any], contents: Sequence[str], gib: int
) -> Iterator[Finding]:
    held = sorted(str(entry["content"]).split(","))
    lacking = [content for content in contents if content not in held]
    if lacking:
        line = f"pvesm set {name} --content {','.join([*held, *lacking])}"
        yield Finding("fail", place, f"does not take {' and '.join(lacking)}", line)
    if not entry.get("active", 1) or not entry.get("enabled", 1):
        yield Finding(
            "fail", place, "is not active", f"pvesm set {name} --disable 0, and look at: pvesm status"
        )
        return
    free = float(entry.get("avail", 0)) / _GIB
    if free < gib:
        text = f"{free:.0f} GiB are free, {gib} GiB may be needed"
        yield Finding("warn", place, text, "free some space; with thin disks it may do for now")
    elif not lacking:
        yield Finding("ok", place, f"takes {', '.join(contents)}; {free:.0f} GiB free")


def _bridge(client: Client, environment: Environment, node: str) -> Iterator[Finding]:
    bridge = environment.network.bridge
    there = sorted(
        str(entry["iface"]) for entry in client.get(f"/nodes/{node}/network", {"type": "any_bridge"})
    )
    if bridge in there:
        yield Finding("ok", f"{node}, bridge {bridge}", "is there")
    else:
        text = f"is not there, or may not be seen; seen are {', '.join(there) or 'none'}"
        yield Finding(
            "fail",
            f"{node}, bridge {bridge}",
            text,
            "correct network.bridge, or make it: Node, System, Network",
        )


def _image(client: Client, environment: Environment, node: str, project: Path) -> Iterator[Finding]:
    image, storage = environment.image, environment.proxmox.image_storage
    place = f"{node}, image"
    if any(entry["volid"] == images.volume(environment) for entry in images.content(client, node, storage)):
        yield Finding("ok", place, f"{image.filename} is there")
    elif image.missing():
        fix = "set it in bootstrap/config/pins.py"
        yield Finding("fail", place, f"its {' and '.join(image.missing())} is not known", fix)
    elif image.file is not None:
        yield _local_image(environment, place, project / image.file.expanduser())
    else:
        try:
            size = client.get(f"/nodes/{node}/query-url-metadata", {"url": image.url})["size"]
            yield Finding("ok", place, f"{image.url} can be fetched ({int(size) / _GIB:.1f} GiB)")
        except ProxmoxError as error:
            yield Finding(
                "fail", place, str(error), f"download {image.url} here and set image.file to its path"
            )


def _local_image(environment: Environment, place: str, path: Path) -> Finding:
    try:
        images.check_file(environment.image, path)
    except InvalidEnvironment as error:
        return Finding("fail", place, str(error))
    return Finding("ok", place, f"{path} has the pinned checksum and will be uploaded")
