"""The upload endpoint: a multipart body, streamed to disk, then copied into the storage by a task."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader

from bootstrap.lab.pve import mishap
from bootstrap.lab.pve.download import ALGORITHMS, normalised, verify_checksum, verify_image
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import Rule, check

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.storage import Volume
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_FIELDS = {
    "content": Rule(required=True, choices=("iso", "vztmpl", "import")),
    "checksum": Rule(requires="checksum-algorithm"),
    "checksum-algorithm": Rule(choices=ALGORITHMS, requires="checksum"),
    "filename": Rule(required=True),
}


@ROUTES.on(
    "POST",
    "/nodes/{node}/storage/{storage}/upload",
    upload=True,
    allow=("/storage/{storage}", "Datastore.AllocateTemplate"),
)
async def upload(call: Call) -> Any:
    lab = call.lab
    received = lab.state / "storage" / f"pveupload-{secrets.token_hex(16)}"
    try:
        try:
            given = await _receive(call, received)
        except (
            ValueError,
            LookupError,
            RuntimeError,
        ) as error:  # no boundary, an unknown charset or encoding
            raise Fault(400, "Bad Request", bare=True) from error
        fields = check(_FIELDS, given, old_wording=lab.pve == "8.4")
        storage, content = lab.storages.get(call.path["storage"]), fields["content"]
        if content not in storage.contents:
            raise Fault(500, f"storage '{storage.storage}' does not support '{content}' content")
        name = normalised(fields["filename"], content)
    except BaseException:
        received.unlink(missing_ok=True)
        raise

    async def work(task: Task) -> None:
        try:
            await _import(call, received, fields, name, task)
        finally:
            received.unlink(missing_ok=True)

    return lab.tasks.start(call.node, "imgcopy", "", call.who, work)


async def _receive(call: Call, target: Path) -> dict[str, str]:
    """The fields before the file, and the file itself on disk."""
    if call.request.content_type != "multipart/form-data":
        raise Fault(400, "Bad Request", bare=True)
    fields: dict[str, str] = {}
    reader = await call.request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise Fault(400, "Bad Request", bare=True)
        name = part.name or ""
        if name == "checksum" and "checksum-algorithm" not in fields:
            raise Fault(400, "Bad Request", bare=True)
        if name != "filename":
            fields[name] = await part.text()
            continue
        if not part.filename:
            raise Fault(500, "upload failed")
        fields[name] = part.filename
        with target.open("wb") as out:
            while chunk := await part.read_chunk(1 << 16):
                out.write(chunk)
    return fields


async def _import(call: Call, received: Path, fields: dict[str, str], name: str, task: Task) -> None:
    temporary = f"/var/tmp/{received.name}"  # noqa: S108 - what Proxmox shows; the file is in the lab's state
    volume = call.lab.storages.volume(call.node, f"{call.path['storage']}:{fields['content']}/{name}")
    task.log(f"starting file import from: {temporary}")
    if "checksum" in fields:
        wrong = await asyncio.to_thread(
            verify_checksum, received, fields["checksum-algorithm"], fields["checksum"]
        )
        task.log("calculating checksum..." + ("" if wrong else "OK, checksum verified"))
        if wrong:
            raise Fault(500, wrong)
    verify_image(received, temporary, fields["content"], name, task.log)
    task.log(f"target node: {call.node}")
    task.log(f"target file: {volume.shown_path}")
    task.log(f"file size is: {_keep(received, volume)}")
    task.log(f"command: cp -- {temporary} {volume.shown_path}")
    if full := mishap.met("storage-full"):
        volume.file.unlink(missing_ok=True)
        raise Fault(500, f"import failed: cp: error writing '{volume.shown_path}': {full.words}")
    task.log("finished file import successfully")


def _keep(received: Path, volume: Volume) -> int:
    """Moves the file to its place, over an older one; its size."""
    volume.file.parent.mkdir(parents=True, exist_ok=True)
    received.replace(volume.file)
    return volume.file.stat().st_size
