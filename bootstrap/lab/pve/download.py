"""Endpoints that fetch a file by HTTP: download-url and query-url-metadata. The log reads as wget's.

The lab's own file server is asked on loopback, whatever its address is inside the lab. Where a host cannot be reached, the file of the
same name from <state>/www is taken, and the log says so: a lab without internet still serves what was put there.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiohttp

from bootstrap.errors import LabError
from bootstrap.lab.pve import mishap
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.images import inspect
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, Rule
from bootstrap.lab.pve.storage import EXTENSIONS

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.storage import Volume
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_CONNECT = aiohttp.ClientTimeout(total=None, connect=8, sock_read=60)


def normalised(name: str, content: str) -> str:
    """The file's name as the storage keeps it; a fault when the extension does not fit the content."""
    clean = re.sub(r"[^a-zA-Z0-9_.-]", "_", Path(name).name)
    if not re.fullmatch(rf"(?i).+{EXTENSIONS[content]}", clean):
        wrong = "invalid filename or wrong extension" if content == "import" else "wrong file extension"
        raise invalid(filename=wrong)
    return clean


def verify_checksum(file: Path, algorithm: str, expected: str) -> str:
    """What is wrong, or nothing. Case does not matter."""
    with file.open("rb") as content:
        got = hashlib.file_digest(content, algorithm).hexdigest()
    return "" if got == expected.lower() else f"checksum mismatch: got '{got}' != expect '{expected}'"


def verify_image(file: Path, shown: str, content: str, name: str, log: Any) -> None:
    """An image to import must be of the format that its name claims, and every image stand on its own."""
    form = Path(name).suffix.lstrip(".").lower()
    if content == "vztmpl" or (content == "import" and form != "qcow2"):
        return
    image = inspect(file)
    if content == "import" and image.format != "qcow2":
        log(f"command '/usr/bin/qemu-img info '--output=json' {shown} -f qcow2' failed: exit code 1")
        raise Fault(500, f"qemu-img: Could not open '{shown}': Image is not in qcow2 format")
    if image.backed or image.external:
        what = "backing file" if image.backed else "external data file"
        raise Fault(500, f"{what} not allowed for untrusted image '{shown}'!")


def _length(size: int) -> str:
    number, unit = float(size), ""
    for bigger in ("K", "M", "G"):
        if number >= 1024:
            number, unit = number / 1024, bigger
    return f"{size}" + (
        f" ({number:.0f}{unit})" if unit and number >= 10 else f" ({number:.1f}{unit})" if unit else ""
    )


class _Refused(LabError):
    """wget's exit code 4, or its last words."""


async def _fetch(lab: Lab, url: str, target: Path, shown: str, log: Any) -> None:
    log(f"--{_now()}--  {url}")
    actual = lab.loopback_files + url.removeprefix(lab.files) if url.startswith(f"{lab.files}/") else url
    try:
        place = urlsplit(url)
        async with (
            aiohttp.ClientSession(timeout=_CONNECT, auto_decompress=False) as session,
            session.get(actual) as response,
        ):
            log(f"Connecting to {place.netloc}... connected.")
            log(f"HTTP request sent, awaiting response... {response.status} {response.reason}")
            if response.status != 200:
                log(f"{_now()} ERROR {response.status}: {response.reason}.")
                raise _Refused("download failed: exit code 8")
            size = int(response.headers.get("Content-Length", 0))
            log(f"Length: {_length(size)} [{response.content_type}]")
            log(f"Saving to: '{shown}'")
            if full := mishap.met("storage-full"):
                raise _Refused(f"download failed: Cannot write to '{shown}' ({full.words}).")
            saved = await _save(response, target)
            log("     0K                                    100%  100M=0s")
            log(f"{_now()} (100 MB/s) - '{shown}' saved [{saved}/{size}]")
    except ValueError as error:  # no URL
        raise _Refused("download failed: exit code 1") from error
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        await _from_folder(lab, url, target, error, log)


async def _save(response: aiohttp.ClientResponse, target: Path) -> int:
    saved = 0
    with target.open("wb") as out:
        async for chunk in response.content.iter_chunked(1 << 18):
            saved += out.write(chunk)
    return saved


async def _from_folder(lab: Lab, url: str, target: Path, error: Exception, log: Any) -> None:
    place = urlsplit(url)
    kept = lab.state / "www" / Path(unquote(place.path)).name
    if kept.is_file():
        log(f"{place.hostname} cannot be reached; taking {kept.name} from the lab's own files instead")
        await asyncio.to_thread(_copy, kept, target)
        return
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        raise _Refused(f"download failed: Connecting to {place.netloc}... failed: Connection refused.")
    log(f"wget: unable to resolve or to reach host address '{place.hostname}'")
    raise _Refused("download failed: exit code 4")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("wb") as out:
        while chunk := given.read(1 << 20):
            out.write(chunk)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


_URL = Rule(required=True, pattern=r"https?://.*")
_DOWNLOAD = {
    "url": _URL,
    "content": Rule(required=True, choices=("iso", "vztmpl", "import")),
    "filename": Rule(required=True),
    "checksum": Rule(requires="checksum-algorithm"),
    "checksum-algorithm": Rule(choices=ALGORITHMS, requires="checksum"),
    "compression": Rule(choices=("gz", "lzo", "zst", "bz2")),
    "verify-certificates": SWITCH,
}


def _may_fetch(call: Call) -> None:
    if not call.may(f"/nodes/{call.node}", "Sys.AccessNetwork") and not call.may("/", "Sys.Modify"):
        raise Fault(403, "Permission check failed")


@ROUTES.on(
    "POST",
    "/nodes/{node}/storage/{storage}/download-url",
    _DOWNLOAD,
    allow=("/storage/{storage}", "Datastore.AllocateTemplate"),
)
async def download(call: Call) -> Any:
    _may_fetch(call)
    storage, content = call.lab.storages.get(call.path["storage"]), call.params["content"]
    if content not in storage.contents:
        raise Fault(500, f"storage '{storage.storage}' is not configured for content-type '{content}'")
    name = normalised(call.params["filename"], content)
    if "compression" in call.params and content == "iso":
        raise Fault(501, "this lab unpacks nothing")
    volume = call.lab.storages.volume(call.node, f"{storage.storage}:{content}/{name}")

    async def work(task: Task) -> None:
        await _download(call, volume, task)

    return call.lab.tasks.start(call.node, "download", name, call.who, work)


async def _download(call: Call, volume: Volume, task: Task) -> None:
    url, shown = call.params["url"], volume.shown_path
    if "compression" in call.params:
        raise Fault(500, f"decompression not supported for {call.params['content']}")
    algorithm, checksum = call.params.get("checksum-algorithm", ""), call.params.get("checksum", "")
    task.log(f"downloading {url} to {shown}")
    if volume.file.exists():
        if not checksum:
            raise Fault(500, f"refusing to override existing file '{shown}'")
        wrong = await asyncio.to_thread(verify_checksum, volume.file, algorithm, checksum)
        task.log(
            "calculating checksum of existing file..."
            + ("" if wrong else "OK, got correct file already, no need to download")
        )
        if wrong:
            raise Fault(500, f"{wrong}, aborting")
        return
    volume.file.parent.mkdir(parents=True, exist_ok=True)
    fresh = volume.file.with_name(f"{volume.file.name}.tmp_dwnl.{task.pid}")
    shown_fresh = f"{shown}.tmp_dwnl.{task.pid}"
    try:
        await _fetch(call.lab, url, fresh, shown_fresh, task.log)
        if checksum:
            wrong = await asyncio.to_thread(verify_checksum, fresh, algorithm, checksum)
            task.log("calculating checksum..." + ("" if wrong else "OK, checksum verified"))
            if wrong:
                raise Fault(500, wrong)
        try:
            verify_image(fresh, shown_fresh, call.params["content"], volume.file.name, task.log)
        except Fault as fault:
            raise Fault(500, f"failed to verify file: {fault.text}") from fault
        fresh.replace(volume.file)
    finally:
        fresh.unlink(missing_ok=True)
    task.log(f"download of '{url}' to '{shown}' finished")


@ROUTES.on("GET", "/nodes/{node}/query-url-metadata", {"url": _URL, "verify-certificates": SWITCH})
async def metadata(call: Call) -> Any:
    _may_fetch(call)
    lab, url = call.lab, call.params["url"]
    actual = lab.loopback_files + url.removeprefix(lab.files) if url.startswith(f"{lab.files}/") else url
    try:
        async with (
            aiohttp.ClientSession(timeout=_CONNECT) as session,
            session.head(actual, allow_redirects=True) as response,
        ):
            if response.status != 200:
                raise Fault(500, f"invalid server response: '{response.status} {response.reason}'")
            name = Path(unquote(urlsplit(url).path)).name
            size = int(response.headers.get("Content-Length", 0))
            return {"filename": name, "size": size, "mimetype": response.content_type}
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Fault(500, f"Can't connect to {url.partition('://')[2].partition('/')[0]} ({error})") from error
