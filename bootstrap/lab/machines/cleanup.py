"""What a lab leaves outside its state folder when it is killed, and how that is removed.

The order matters: processes first, for they keep mounts and loop devices busy; a machine's network before the
switch; mounts before loop devices; control groups last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootstrap.lab.machines import loop, mark, mounts, netns
from bootstrap.lab.machines.cgroup import Cgroup, found
from bootstrap.lab.machines.command import run

if TYPE_CHECKING:
    from pathlib import Path


def leftovers(state: Path) -> list[str]:
    """One line for everything outside the state folder that carries this lab's mark."""
    name = mark.of(state)
    return [
        *(f"control group {group}" for group in found(name)),
        *(f"network namespace {namespace}" for namespace in _namespaces(name)),
        *(f"mount {point}" for point in mounts.of_device(f"{name}-*")),
        *(f"loop device {device}" for device in loop.attached(state)),
    ]


def remove(state: Path) -> None:
    """Remove all of it. Nothing to remove is no error; what cannot be removed is one."""
    name = mark.of(state)
    groups = found(name)
    if groups:
        Cgroup(tuple(groups)).kill()
    for namespace in _namespaces(name):
        run("ip", "netns", "del", namespace)
    for point in mounts.of_device(f"{name}-*"):
        mounts.unmount(point)
    for device in loop.attached(state):
        loop.detach(device)
    Cgroup(tuple(found(name))).remove()


def _namespaces(name: str) -> list[str]:
    """The machines' before the switch."""
    names = [path.name for path in netns.FOLDER.glob(f"{name}-*")]
    return sorted(names, key=lambda namespace: (namespace == mark.switch(name), namespace))
