"""What Longhorn wants of a node before it comes: packages, kernel modules, iscsid, and a label that says where its disk is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploys.settings import Node, Settings

COMPONENT = "longhorn-system"
"""Its name among the components: its folder's in kubernetes/core."""

PACKAGES = ("cryptsetup", "nfs-common", "open-iscsi")
"""Its own check looks for dmsetup too, which comes with cryptsetup."""

MODULES = ("iscsi_tcp", "dm_crypt", "nfs")

ISCSID = ("iscsid.socket", "iscsid.service")
"""Either will do; Debian enables the socket, which starts the service when somebody asks."""

DATA = "/var/lib/longhorn"
_LABEL = "node.longhorn.io/create-default-disk"


def runs(settings: Settings) -> bool:
    """Whether it is among the cluster's components."""
    return COMPONENT in settings.components


def labelled(settings: Settings, node: Node) -> Node:
    """The node; where it has a disk for Longhorn, with the label by which Longhorn takes it. A label of the environment wins."""
    if not runs(settings) or DATA not in [disk.mount for disk in node.data_disks]:
        return node
    return node.model_copy(update={"labels": {_LABEL: "true"} | node.labels})
