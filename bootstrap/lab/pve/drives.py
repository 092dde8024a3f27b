"""Drives of a machine: who may attach what, new and imported disks, and the string that the configuration keeps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import DRIVES as DRIVE_RULES
from bootstrap.lab.pve.images import inspect
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.options import DRIVES, FIRMWARE_DISKS, bus_of
from bootstrap.lab.pve.schema import properties, switched
from bootstrap.lab.pve.storage import size_of, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.storage import Storage, Volume

NEW = re.compile(r"([^:/,]+):(\d+(?:\.\d+)?)")
_READERS = ("Datastore.AllocateSpace", "Datastore.Audit")
_LINES = {"8.4": 581, "9.2": 651}  # Perl tells where it died


def render(drive: Mapping[str, str]) -> str:
    """The volume first, then the options in order; what only tells how to make the disk is dropped."""
    options = sorted(
        f"{key}={value}" for key, value in drive.items() if key not in ("file", "format", "import-from")
    )
    return ",".join([drive["file"], *options])


def check_drives(call: Call, params: Mapping[str, str]) -> None:
    """Whether each drive's text makes sense."""
    if any(key in params for key in FIRMWARE_DISKS):
        raise Fault(501, "this lab makes no EFI and no TPM disks")
    for slot in sorted(slot for slot in DRIVES if slot in params):
        drive = properties(params[slot], "file")
        new = NEW.fullmatch(drive["file"])
        if drive["file"].endswith(":cloudinit"):
            raise Fault(501, "this lab makes no cloud-init drives: upload a NoCloud ISO")
        if "import-from" in drive and not (new and float(new[2]) == 0):
            special = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
            raise invalid(**{slot: special})
        if ":" in drive["file"] and not new:
            volume = call.lab.storages.volume(call.path["node"], drive["file"])
            if volume.kind == "iso" and drive.get("media") != "cdrom":
                raise invalid(**{slot: "explicit 'media=cdrom' is required for iso images"})


def check_access(call: Call, params: Mapping[str, str]) -> None:
    """Whether the caller may use the storages and volumes that the drives name."""
    for slot in sorted(slot for slot in DRIVES if slot in params):
        drive = properties(params[slot], "file")
        cdrom = is_cdrom(drive)
        if drive["file"] == "none" or drive["file"].endswith(":cloudinit"):
            continue
        if cdrom and drive["file"] == "cdrom":
            call.require("/", "Sys.Console")
        elif not cdrom and (new := NEW.fullmatch(drive["file"])):
            call.require(f"/storage/{new[1]}", "Datastore.AllocateSpace")
            if "images" not in call.lab.storages.get(new[1]).contents:
                raise invalid(storage=f"storage '{new[1]}' does not support vm images")
        elif _usable(call, drive["file"]).kind not in ("images", "iso"):
            raise invalid(**{slot: "content type needs to be 'images' or 'iso'"})
        if source := drive.get("import-from"):
            _check_source(call, slot, source)


def _check_source(call: Call, slot: str, source: str) -> None:
    if not source.startswith("/"):
        volume = call.lab.storages.volume(call.node, source)
        if volume.kind not in ("images", "import"):
            wrong = f"{source} has wrong type '{volume.kind}' - needs to be 'images' or 'import'"
            raise invalid(**{slot: wrong})
        if volume.vmid:
            call.require(f"/vms/{volume.vmid}", "VM.Clone")
            return
    _usable(call, source)


def _usable(call: Call, volid: str) -> Volume:
    """The volume, when the caller may use it."""
    if volid.startswith("/"):
        if call.who.is_root:
            raise Fault(501, "this lab takes no files by their path")
        place = f"at /usr/share/perl5/PVE/Storage.pm line {_LINES[call.lab.pve]}."
        raise Fault(500, f"Only root can pass arbitrary filesystem paths. {place}")
    volume = call.lab.storages.volume(call.node, volid)
    path = f"/storage/{volume.storage.storage}"
    if call.may(path, "Datastore.Allocate"):
        return volume
    if not volume.vmid:
        call.require(path, *_READERS)
    elif volume.vmid != int(call.path.get("vmid", call.params.get("vmid", 0))):
        call.require(path, "Datastore.Audit")
        call.require(f"/vms/{volume.vmid}", "VM.Config.Disk")
    return volume


def make(lab: Lab, machine: Machine, slot: str, text: str, log: Callable[[str], None]) -> str:
    """Makes the disk that the text asks for, or looks at the volume that it names; the text to keep."""
    drive = switched(DRIVE_RULES[bus_of(slot)], properties(text, "file"))
    new = NEW.fullmatch(drive["file"])
    if drive["file"] in ("none", "cdrom"):
        return render(drive)
    if not new:
        volume = lab.storages.existing(machine.node, drive["file"])
        return render({**drive, "size": size_text(volume.size())})
    storage = lab.storages.get(new[1])
    if source := drive.get("import-from"):
        volume = _import(lab, machine, storage, source, drive, log)
        machine.systems.append(volume.volid)
    else:
        if storage.disable:
            raise Fault(500, f"storage '{storage.storage}' is disabled")
        volume = _allocate(
            lab, machine, storage, size_of(new[2], default_unit="G"), drive.get("format", "raw"), log
        )
    kept = render({**drive, "file": volume.volid, "size": size_text(volume.size())})
    log(f"{slot}: successfully created disk '{kept}'")
    return kept


def _allocate(
    lab: Lab, machine: Machine, storage: Storage, size: int, form: str, log: Callable[[str], None]
) -> Volume:
    volume = lab.storages.unused(machine.node, storage, machine.vmid, form)
    if storage.holds_files:
        details = f"fmt=raw size={size} preallocation=off"
        if form == "qcow2":
            details = (
                "fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib "
                f"size={size} lazy_refcounts=off refcount_bits=16"
            )
        log(f"Formatting '{volume.shown_path}', {details}")
    lab.storages.create(volume, size, form)
    return volume


def _import(
    lab: Lab,
    machine: Machine,
    storage: Storage,
    source: str,
    drive: Mapping[str, str],
    log: Callable[[str], None],
) -> Volume:
    """A disk as large as the image. Its contents are the backend's affair: every system is the lab's one system."""
    origin = lab.storages.volume(machine.node, source)
    if not origin.file.exists():
        raise Fault(500, f"failed to stat '{origin.shown_path}'")
    log(f"create full clone of drive ({source})")
    if storage.disable:
        raise Fault(500, f"cannot import from '{source}' - storage '{storage.storage}' is disabled")
    image = inspect(origin.file)
    size = origin.size() if origin.vmid else image.size
    form = drive.get("format", origin.format if origin.format in ("qcow2", "raw") else "raw")
    volume = _allocate(lab, machine, storage, size, form, log)
    if lab.pve != "8.4":
        log(f"allocated target volume '{volume.volid}'")
    whole = f"{size / (1 << 30):.1f} GiB"
    log(f"transferred 0.0 B of {whole} (0.00%)")
    log(f"transferred {whole} of {whole} (100.00%)")
    return volume
