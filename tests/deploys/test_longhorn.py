"""What is done on a node for Longhorn, and that nothing is where it is not among the components."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.config.components import COMPONENTS
from deploys import longhorn, paths, system
from deploys.facts import questions
from deploys.facts.node import Node, NodeState, Unit
from deploys.facts.script import gathering
from deploys.operations import cluster, node
from deploys.settings import Settings

CHARTS_VALUES = "kubernetes/core/longhorn-system/values.yaml"
LABEL = "node.longhorn.io/create-default-disk"


@pytest.fixture
def without(rzp: dict[str, Any]) -> Settings:
    """The same environment without it."""
    return Settings.parse(rzp | {"components": ["cert-manager"]})


def _now(machine: Any, **fields: Any) -> None:
    """The machine answers as before, but for these fields."""
    before = machine.answers[NodeState]
    machine.answers[NodeState] = lambda: dataclasses.replace(before(), **fields)


def _units(machine: Any, **units: Unit) -> None:
    found: Node = machine.answers[NodeState]()
    kept = {name: unit for name, unit in found.units.items() if name not in longhorn.ISCSID}
    _now(machine, units=kept | {f"iscsid.{kind}": unit for kind, unit in units.items()})


def test_it_is_a_component_of_that_name_and_its_chart_waits_for_the_label(checkout: Path) -> None:
    assert longhorn.COMPONENT in [component.name for component in COMPONENTS]
    values = yaml.safe_load((checkout / CHARTS_VALUES).read_text())
    assert values["defaultSettings"]["createDefaultDiskLabeledNodes"] is True


def test_every_node_is_asked_for_it_only_where_it_runs(settings: Settings, without: Settings) -> None:
    for name in settings.nodes:
        found = questions.for_host(settings, name)
        assert {*longhorn.PACKAGES} < {*found.packages}
        assert {*longhorn.MODULES} < {*found.modules}
        assert {*longhorn.ISCSID} < {*found.units}
        plain = questions.for_host(without, name)
        assert "iscsi" not in gathering(plain)
        assert plain.modules == system.MODULES


def test_what_is_missing_is_installed_and_loaded(machines: Any, settings: Settings, carry_out: Any) -> None:
    machine = machines["s1"]
    found: Node = machine.answers[NodeState]()
    _now(
        machine,
        packages=found.packages - {"open-iscsi"},
        modules=found.modules - {"iscsi_tcp"},
    )

    [install] = carry_out(machine, node.packages, settings=settings, names=system.node_packages(settings))
    [load] = carry_out(machine, node.modules, settings=settings)

    assert "apt install --no-install-recommends open-iscsi " in str(install)
    assert str(load) == "modprobe iscsi_tcp"


def test_the_modules_are_loaded_at_every_boot_too(settings: Settings, without: Settings) -> None:
    def listed(found: Settings) -> list[str]:
        return [line for line in system.modules_text(found).splitlines() if not line.startswith("#")]

    assert listed(settings) == ["overlay", "br_netfilter", "iscsi_tcp", "dm_crypt", "nfs"]
    assert listed(without) == ["overlay", "br_netfilter"]
    assert paths.MODULES_LOAD in questions.for_host(settings, "a1").texts


@pytest.mark.parametrize(
    ("units", "done"),
    [
        ({"socket": Unit("active", "enabled")}, True),
        ({"service": Unit("active", "enabled")}, True),
        ({"socket": Unit("active", "disabled")}, False),
        ({"socket": Unit("inactive", "enabled")}, False),
        ({"service": Unit("active", "disabled")}, False),
        ({}, False),
    ],
)
def test_iscsid_is_there_now_and_at_every_boot(
    machines: Any, settings: Settings, carry_out: Any, units: dict[str, Unit], *, done: bool
) -> None:
    machine = machines["a1"]
    _units(machine, **units)

    commands = carry_out(machine, node.iscsid, settings=settings)

    assert (commands == []) is done
    assert all("systemctl -q enable --now iscsid.socket" in str(command) for command in commands)


def test_a_node_with_a_disk_for_it_gets_the_label_and_loses_it_again(
    machines: Any, rzp: dict[str, Any], without: Settings, carry_out: Any, texts: Any
) -> None:
    machine = machines["s1"]
    gone = texts(carry_out(machine, cluster.labels_and_taints, settings=without))
    assert f"label node a1 --overwrite {LABEL}-" in gone

    rzp["nodes"]["s2"]["data_disks"] = rzp["nodes"]["a1"]["data_disks"]
    more = texts(carry_out(machine, cluster.labels_and_taints, settings=Settings.parse(rzp)))
    assert f"label node s2 --overwrite {LABEL}=true" in more
    assert "node a1" not in more
    assert "node s1" not in more


def test_the_environments_own_word_about_the_disk_wins(rzp: dict[str, Any]) -> None:
    rzp["nodes"]["a1"]["labels"] = {LABEL: "config"}
    settings = Settings.parse(rzp)

    assert longhorn.labelled(settings, settings.nodes["a1"]).labels == {LABEL: "config"}


def test_a_module_that_is_built_in_is_found_under_its_files_name(tmp_path: Path, without: Settings) -> None:
    asked = dataclasses.replace(questions.for_host(without, "a1"), modules=("dm_crypt", "rzp_none"))
    (tmp_path / "modules.builtin").write_text("kernel/drivers/md/dm-crypt.ko\n")
    script = gathering(asked).replace("/lib/modules/$(uname -r)", str(tmp_path))

    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout

    assert "module\tdm_crypt\n" in said
    assert "rzp_none" not in said
