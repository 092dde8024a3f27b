"""Files that come to the storages: uploads and downloads, checked and refused."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest
from proxmoxer import ResourceException

from bootstrap.lab.pve.images import blank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Finish = Callable[[Any, str], tuple[str, list[str]]]

IMAGE = blank(1 << 30)
SUM = hashlib.sha512(IMAGE).hexdigest()


def file(name: str, content: bytes) -> io.BytesIO:
    made = io.BytesIO(content)
    made.name = name
    return made


def test_an_upload_is_verified_before_it_is_kept(api: Any, finish: Finish) -> None:
    local = api.nodes("pve1").storage("local")
    good = {"checksum-algorithm": "sha256", "checksum": hashlib.sha256(b"iso").hexdigest()}
    bad = {"checksum-algorithm": "sha256", "checksum": "00"}
    end, log = finish(api, local.upload.post(content="iso", **bad, filename=file("seed.iso", b"iso")))
    assert end == f"checksum mismatch: got '{good['checksum']}' != expect '00'"
    assert local.content.get(content="iso") == []
    end, log = finish(api, local.upload.post(content="iso", **good, filename=file("seed one.iso", b"iso")))
    assert (end, log[-2:]) == ("OK", ["finished file import successfully", "TASK OK"])
    assert [volume["volid"] for volume in local.content.get(content="iso")] == ["local:iso/seed_one.iso"]


def test_a_large_upload_is_streamed(api: Any, finish: Finish) -> None:
    local = api.nodes("pve1").storage("local")
    assert (
        finish(api, local.upload.post(content="iso", filename=file("large.iso", bytes(12 << 20))))[0] == "OK"
    )
    assert local.content.get(content="iso")[0]["size"] == 12 << 20


@pytest.mark.parametrize(
    ("content", "name", "wrong"),
    [("iso", "x.qcow2", "wrong file extension"), ("import", "x.img", "invalid filename or wrong extension")],
)
def test_the_extension_must_fit_the_content(api: Any, content: str, name: str, wrong: str) -> None:
    with pytest.raises(ResourceException) as refused:
        api.nodes("pve1").storage("local").upload.post(content=content, filename=file(name, b"x"))
    assert refused.value.errors == {"filename": wrong}


def test_snippets_cannot_be_uploaded(api: Any) -> None:
    with pytest.raises(ResourceException) as refused:
        api.nodes("pve1").storage("local").upload.post(content="snippets", filename=file("x.yaml", b"x"))
    assert refused.value.status_code == 400


def test_a_download_happens_once(
    api: Any, finish: Finish, serve_files: Callable[[dict[str, bytes]], str]
) -> None:
    local, url = api.nodes("pve1").storage("local"), serve_files({"x.qcow2": IMAGE})
    order = {
        "url": f"{url}/x.qcow2",
        "content": "import",
        "filename": "x.qcow2",
        "checksum": SUM,
        "checksum-algorithm": "sha512",
    }
    assert finish(api, local("download-url").post(**order))[0] == "OK"
    end, log = finish(api, local("download-url").post(**order))
    assert (end, log[1]) == (
        "OK",
        "calculating checksum of existing file...OK, got correct file already, no need to download",
    )
    assert local.content("local:import/x.qcow2").get()["size"] == 1 << 30


def test_the_lab_s_own_files_can_be_downloaded_by_their_address_inside(
    api: Any, lab: dict[str, Any], finish: Finish
) -> None:
    image = lab["image"]
    order = {key: image[key] for key in ("url", "filename", "checksum")} | {
        "checksum-algorithm": image["checksum_algorithm"]
    }
    assert (
        finish(api, api.nodes("pve1").storage("local")("download-url").post(content="import", **order))[0]
        == "OK"
    )


def test_what_cannot_be_reached_comes_from_the_lab_s_folder_or_not_at_all(
    api: Any, finish: Finish, tmp_path: Path
) -> None:
    local = api.nodes("pve1").storage("local")
    order = {"url": "https://images.invalid/debian-x.qcow2", "content": "import", "filename": "y.qcow2"}
    assert finish(api, local("download-url").post(**order))[0] == "download failed: exit code 4"
    (tmp_path / "lab" / "www" / "debian-x.qcow2").write_bytes(IMAGE)
    end, log = finish(api, local("download-url").post(**order))
    assert end == "OK"
    assert "images.invalid cannot be reached; taking debian-x.qcow2 from the lab's own files instead" in log


def test_a_folder_outside_the_file_server_is_not_served(
    api: Any, lab: dict[str, Any], finish: Finish
) -> None:
    order = {"url": f"{lab['files']}/..%2Ftls.pem", "content": "import", "filename": "y.raw"}
    assert (
        finish(api, api.nodes("pve1").storage("local")("download-url").post(**order))[0]
        == "download failed: exit code 8"
    )
