"""What is generated in docs/ is as the code and the tree say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.config.base import Environment
from bootstrap.config.model import Model
from tests.docs import environment, house, layers
from tests.docs.blocks import handbook
from tests.docs.pages import pages, with_part

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["docs/environment.md", "docs/layers.md", "docs/architecture.md"])
def test_the_page_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == pages(ROOT)[name], f"{name} is stale; type: make docs"


def test_every_field_of_an_environment_says_what_it_means() -> None:
    assert environment.undescribed(Environment.model_json_schema()) == []


def test_a_field_without_a_description_is_found() -> None:
    class Inner(Model):
        """One."""

        said: int
        """Said."""
        silent: int

    class Outer(Model):
        """Another."""

        inner: Inner
        """The inner one."""

    assert environment.undescribed(Outer.model_json_schema()) == ["Inner.silent"]


def test_every_model_of_an_environment_has_a_section_with_all_its_fields() -> None:
    page = environment.page()

    for name in ("Environment", "Proxmox", "Subnet6", "ServerPool", "DataDisk", "Vm", "K3s", "GitOps"):
        assert f"\n## {name}\n" in page
    for field in Environment.model_fields:
        assert f"\n| `{field}` | " in page


def test_a_page_without_a_place_for_its_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the house"):
        with_part("# Architecture\n", "the house", "…")


def test_arrows_that_follow_from_others_are_not_drawn() -> None:
    whole = {"cli": {"apply", "errors", "lab"}, "apply": {"errors", "lab"}, "lab": {"errors"}}

    assert house.reduced(whole) == {"cli": {"apply", "lab"}, "apply": {"lab"}, "lab": {"errors"}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of kubernetes/ whose staging lacks the Application of cert-manager, as if its pin were unknown."""
    shutil.copytree(ROOT / "kubernetes", tmp_path / "kubernetes")
    file = tmp_path / "kubernetes" / "clusters" / "staging" / "applications.yaml"
    kept = [
        said for said in yaml.safe_load_all(file.read_text()) if said["metadata"]["name"] != "cert-manager"
    ]
    file.write_text(yaml.safe_dump_all(kept))
    shutil.rmtree(tmp_path / "kubernetes" / "apps" / "whoami" / "overlays" / "demo")
    return tmp_path


def test_what_is_left_out_and_what_a_cluster_has_not_are_told_apart(tree: Path) -> None:
    rows = {line.split(" | ")[1]: line for line in layers.page(tree).splitlines() if line.startswith("| ")}

    assert rows["cert-manager"].endswith("| yes | yes | left out |")
    assert rows["whoami"].endswith("| – | yes | yes |")


def test_the_graph_shows_each_wave_after_the_one_before_and_what_is_left_out_dashed(tree: Path) -> None:
    page = layers.page(tree)
    waves = [line.strip() for line in page.splitlines() if "-->" in line]

    assert waves[0] == "root([root]) --> projects[AppProjects]"
    assert waves[1].startswith("projects --> core-")
    assert waves[-1].endswith("-- ApplicationSet --> apps-20")
    assert any(
        line.strip().startswith("core-cert-manager[") and line.endswith(":::out")
        for line in page.splitlines()
    )


def test_every_component_has_an_overlay_on_some_cluster(tree: Path) -> None:
    found: list[Any] = layers.components(tree / "kubernetes", "production")

    assert {"core", "platform", "apps"} == {component.layer for component in found}
    waves = [component.wave for component in found if component.wave is not None]  # None: left out
    assert waves == sorted(waves)


def test_every_path_in_a_picture_exists() -> None:
    pictures = "".join(block.text for block in handbook(ROOT) if block.language == "mermaid")
    named = re.findall(r"(?:bootstrap|inventories|deploys|kubernetes|files)/[\w./-]*", pictures)

    assert "deploys/k3s.py" in named
    assert [path for path in named if not (ROOT / path).exists()] == []
