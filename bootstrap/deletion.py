"""What stands before a deletion: disks that would die with a VM and are not the environment's, and a node to drain."""

from __future__ import annotations

import re

from bootstrap.live import Live
from bootstrap.machine import Machine

# The last part of a volume's name tells: vmdata:930/NAME, local-lvm:vm-930-disk-0, and after the image that it is a linked clone of
# (rbd:base-900-disk-0/vm-930-disk-0, vmdata:900/base-900-disk-0.qcow2/930/vm-930-disk-0.qcow2).
_OWNER = re.compile(r"[:/](?:(\d+)/[^/]+|(?:vm|base)-(\d+)-[^/]+)$")
_OWN_SLOT = re.compile(r"^scsi\d+$")


def foreign_disks(live: Live, machine: Machine | None) -> list[str]:
    """A conflict for each disk that Proxmox would delete with the VM and the environment does not know.

    Volumes of another VMID are kept by Proxmox itself. Of a machine that the environment no longer holds (None) the
    slots are not known any more; there a disk in any SCSI slot counts as ours.
    """
    known = {disk.slot for disk in machine.disks} if machine else set()
    found = []
    for slot, volume in sorted(live.volumes.items()):
        named = _OWNER.search(volume)
        owner = named and (named[1] or named[2])
        ours = slot in known or (machine is None and _OWN_SLOT.match(slot))
        if ours or owner is None or int(owner) != live.vmid:
            continue
        size = f" ({live.disks[slot]:g} GiB)" if slot in live.disks else ""
        found.append(
            f"{live.name} (VMID {live.vmid}) holds {slot}{size}, {volume}, which is not the environment's and would die"
            f" with it; give it to another VM, on {live.node}: qm disk move {live.vmid} {slot} --target-vmid VMID"
        )
    return found


def advice(live: Live, environment: str) -> list[str]:
    """What to do before a machine that may be a node of a running cluster is deleted."""
    roles = live.tags & {"server", "agent"}
    if not (live.running and roles):
        return []
    kubectl = f"kubectl --kubeconfig inventories/{environment}.kubeconfig"
    drain = f"{kubectl} drain {live.name} --ignore-daemonsets --delete-emptydir-data"
    quorum = "; a server less must leave a majority of the etcd members" if "server" in roles else ""
    before = f"before {live.name} goes, while it is a node of the running cluster: {drain}"
    return [f"{before} && {kubectl} delete node {live.name}{quorum}"]
