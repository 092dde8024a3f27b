"""The built-in build of conftest.py makes what kustomize makes. Skipped where there is no kustomize."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
Build = Callable[[str], list[Object]]

KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"
CRD = "CustomResourceDefinition"  # left out: they are nine tenths of the bytes, and no patch differs for them
BUILT = [
    *sorted(str(path.relative_to(KUBERNETES)) for path in KUBERNETES.glob("*/*/overlays/*")),
    *(f"clusters/{path.name}" for path in sorted(KUBERNETES.glob("clusters/*/")) if path.name != "base"),
]


def tool() -> list[str]:
    """`kustomize build`, or the one that kubectl carries."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if path := shutil.which(command[0]):
            return [path, *command[1:]]
    return pytest.skip("neither kustomize nor kubectl is on PATH: the built-in build was not compared")


def lines(objects: list[Object]) -> list[str]:
    return sorted(json.dumps(thing, sort_keys=True) for thing in objects if thing["kind"] != CRD)


@pytest.fixture
def tree(tmp_path: Path, kubernetes: Path, manifest: Path | None) -> Path:
    """A copy of kubernetes/ in which the one remote base is a local file."""
    copy = shutil.copytree(kubernetes, tmp_path / "kubernetes")
    if manifest is not None:
        parts = manifest.read_text().split("\n---\n")
        base = copy / "core/argocd/base"
        (base / "install.yaml").write_text(
            "\n---\n".join(part for part in parts if f"kind: {CRD}\n" not in part)
        )
        kustomization = yaml.safe_load((base / "kustomization.yaml").read_text())
        kustomization["resources"] = [
            "install.yaml" if ":" in name else name for name in kustomization["resources"]
        ]
        (base / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return copy


def kustomized(folder: Path) -> list[str]:
    result = subprocess.run([*tool(), folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return lines(list(yaml.safe_load_all(result.stdout)))


@pytest.mark.parametrize("overlay", BUILT)
def test_an_overlay_is_built_as_kustomize_builds_it(overlay: str, built: Build, tree: Path) -> None:
    assert lines(built(overlay)) == kustomized(tree / overlay)
