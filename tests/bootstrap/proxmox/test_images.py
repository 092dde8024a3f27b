"""The cloud image and the seeds, on a storage of the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bootstrap.config.base import Environment
from bootstrap.errors import InvalidEnvironment, TaskFailed
from bootstrap.proxmox import images


def _with_image(environment: Environment, **changes: Any) -> Environment:
    return environment.model_copy(update={"image": environment.image.model_copy(update=changes)})


def _imports(lab: Any) -> list[str]:
    return [entry["volid"] for entry in images.content(lab.root(), "pve1", "local", "import")]


def test_the_image_is_downloaded_once(lab: Any) -> None:
    client = lab.client()

    assert images.fetch(client, lab.environment, "pve1", Path()) is True
    assert _imports(lab) == [images.volume(lab.environment)]
    client.calls.clear()
    assert images.fetch(client, lab.environment, "pve1", Path()) is False
    assert client.calls == [("GET", "/nodes/pve1/storage/local/content")]


def test_an_image_with_another_checksum_is_refused_and_not_kept(lab: Any) -> None:
    environment = _with_image(lab.environment, checksum="0" * 128)

    with pytest.raises(TaskFailed, match=r"checksum mismatch: got .* correct image\.checksum or image\.url"):
        images.fetch(lab.client(), environment, "pve1", Path())
    assert _imports(lab) == []


def test_an_unknown_pin_is_named(untouched_lab: Any) -> None:
    environment = _with_image(untouched_lab.environment, url=None, checksum=None)

    with pytest.raises(
        InvalidEnvironment, match=r"image\.url and image\.checksum not known; set it in .*pins\.py"
    ):
        images.fetch(untouched_lab.client(), environment, "pve1", Path())


def test_a_local_file_goes_up_under_the_pinned_name(lab: Any, tmp_path: Path) -> None:
    source = Path(lab.endpoint["image"]["url"].rsplit("/", 1)[-1])
    file = next((lab.state / "www").rglob(source.name))
    (tmp_path / "mine.img").write_bytes(file.read_bytes())
    environment = _with_image(lab.environment, url=None, file=Path("mine.img"))

    assert images.fetch(lab.client(), environment, "pve1", tmp_path) is True
    assert _imports(lab) == [images.volume(lab.environment)]


@pytest.mark.parametrize(("content", "said"), [(b"other", "its sha512 is"), (None, "No such file")])
def test_a_local_file_that_is_not_the_pinned_one_never_leaves(
    untouched_lab: Any, tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "mine.img").write_bytes(content)
    environment = _with_image(untouched_lab.environment, file=Path("mine.img"))
    client = untouched_lab.client()

    with pytest.raises(InvalidEnvironment, match=f"image.file .*mine.img: {said}"):
        images.fetch(client, environment, "pve1", tmp_path)
    assert [method for method, _ in client.calls] == ["GET"]


def test_a_large_file_is_streamed(lab: Any) -> None:
    data = b"QFI\xfb" + bytes(11 << 20)
    client = lab.client()

    images.upload_seed(client, "pve1", "local", "rzp-large.iso", data)

    (entry,) = images.content(client, "pve1", "local", "iso")
    assert (entry["volid"], entry["size"]) == ("local:iso/rzp-large.iso", len(data))


def test_a_seed_can_be_replaced_and_deleted_twice(lab: Any) -> None:
    client = lab.client()
    for data in (b"one" * 4096, b"two" * 4096):
        images.upload_seed(client, "pve1", "local", "rzp-x.iso", data)
    (stored,) = (lab.state / "storage").rglob("rzp-x.iso")
    assert stored.read_bytes() == b"two" * 4096

    for _ in range(2):
        images.delete_volume(client, "pve1", "local:iso/rzp-x.iso")
    assert images.content(client, "pve1", "local", "iso") == []


def test_whether_a_storage_is_shared_is_asked_only_of_several_nodes(
    script: Any, reply: Any, staging: Environment
) -> None:
    wire = script(reply({"shared": 1}))

    assert images.shared(wire.client(), staging, ["pve1"]) is False
    assert wire.requests == []
    assert images.shared(wire.client(), staging, ["pve1", "pve2"]) is True


def test_of_two_nodes_the_one_that_is_left_says_whether_the_storage_is_shared(
    script: Any, reply: Any, staging: Environment
) -> None:
    wire = script(reply({"shared": 1}))

    assert images.shared(wire.client(), staging, ["pve1", "pve2"], {"pve1"}) is True
    assert wire.requests[0].path_url == "/api2/json/nodes/pve2/storage/local/status"
    assert images.shared(wire.client(), staging, ["pve1", "pve2"], {"pve1", "pve2"}) is False
