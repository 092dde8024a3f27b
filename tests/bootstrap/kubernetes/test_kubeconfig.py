"""Reading the kubeconfig: its one shape, and a key that nobody else can read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bootstrap.errors import KubernetesError
from bootstrap.kubernetes.api import Api
from bootstrap.kubernetes.kubeconfig import Kubeconfig
from tests.bootstrap.kubernetes.conftest import kubeconfig_text

SERVER = "https://192.0.2.20:6443"
WATCHED = """
import os, stat, sys
from pathlib import Path
from bootstrap.kubernetes.kubeconfig import Kubeconfig

def watch(event, arguments):
    if event == "shutil.rmtree":
        folder = Path(arguments[0])
        print(*(oct(stat.S_IMODE(p.stat().st_mode)) for p in (folder, *folder.iterdir())))

os.umask(0)
sys.addaudithook(watch)
Kubeconfig.read(Path(sys.argv[1])).tls()
"""


@pytest.fixture
def path(authority: Callable[[str], Path], tmp_path: Path) -> Path:
    target = tmp_path / "test.kubeconfig"
    target.write_text(kubeconfig_text(SERVER, authority("cluster")))
    return target


def test_only_the_clusters_ca_is_trusted(path: Path) -> None:
    context = Kubeconfig.read(path).tls()

    assert [ca["serialNumber"] for ca in context.get_ca_certs()] != []
    assert len(context.get_ca_certs()) == 1


def test_the_key_lies_in_no_file_that_others_can_read_and_in_none_afterwards(
    path: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}

    ran = subprocess.run(
        [sys.executable, "-c", WATCHED, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "0o700 0o600\n"
    assert list(temporary.iterdir()) == []


def test_it_is_never_printed(path: Path) -> None:
    document = yaml.safe_load(path.read_text())

    shown = repr(Kubeconfig.read(path))

    assert document["users"][0]["user"]["client-key-data"] not in shown
    assert "BEGIN" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "clusters: []",
        "clusters: [{cluster: {server: x, certificate-authority-data: '%'}}]\nusers: [{user: {}}]",
        "clusters: [{cluster: {server: x, certificate-authority: /ca.crt}}]\nusers: [{user: {token: canary}}]",
        "clusters: [{cluster: {server: x, certificate-authority-data: gICA}}]\nusers: [{user: {}}]",
    ],
)
def test_any_other_shape_is_one_line_with_the_fix(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.kubeconfig"
    path.write_text(text)

    with pytest.raises(KubernetesError) as caught:
        Kubeconfig.read(path)

    assert str(caught.value) == (
        f"{path}: not a kubeconfig as the deploy writes it; delete it and run the deploy again"
    )


@pytest.mark.parametrize(
    "field", ["certificate-authority-data", "client-certificate-data", "client-key-data"]
)
def test_an_empty_field_is_one_line_with_the_fix(path: Path, field: str) -> None:
    document = yaml.safe_load(path.read_text())
    (document["clusters"][0]["cluster"] if "authority" in field else document["users"][0]["user"])[field] = ""
    path.write_text(yaml.safe_dump(document))

    with pytest.raises(KubernetesError, match=r"cannot be used \(.+\); run the deploy again"):
        Api(Kubeconfig.read(path))
