"""What a cluster does without and why, and what takes its place; what comes behind the apps."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap import config, gitops
from bootstrap.cluster import K3sCluster
from bootstrap.config import pins
from bootstrap.config.base import Environment
from bootstrap.config.components import COMPONENTS, Component
from bootstrap.config.software import Chart, Infisical
from bootstrap.gitops import Workloads
from bootstrap.inventory import settings
from deploys import longhorn

PROJECT = Path(__file__).resolve().parents[2]
KUBERNETES = PROJECT / "kubernetes"
CLUSTERS = tuple(config.names())
WAVE = "argocd.argoproj.io/sync-wave"


def texts(workloads: Workloads) -> dict[str, Any]:
    """The generated files, parsed, by their name below clusters/ENV."""
    folder = KUBERNETES / "clusters" / workloads.environment.name
    return {
        str(file.path.relative_to(folder)): list(yaml.safe_load_all(file.text))
        for file in gitops.files(workloads, PROJECT)
    }


def without(name: str, chart: Chart | None) -> tuple[Component, ...]:
    """The catalogue with another pin for one component."""
    return tuple(c.model_copy(update={"chart": chart}) if c.name == name else c for c in COMPONENTS)


def connected(environment: Environment) -> Environment:
    """The environment with an Infisical, so that nothing is left out for lack of one."""
    infisical = Infisical(host="https://vault.home.arpa", project="homelab", environment=environment.name)
    return environment.model_copy(
        update={"gitops": environment.gitops.model_copy(update={"infisical": infisical})}
    )


@pytest.mark.parametrize("field", ["version", "sha256"])
def test_a_component_without_a_pin_is_left_out_and_says_what_is_missing(
    field: str, environments: dict[str, Environment]
) -> None:
    chart = pins.METALLB.model_copy(update={field: None})
    workloads = Workloads.of(connected(environments["staging"]), PROJECT, without("metallb", chart))
    assert "metallb" not in [thing["metadata"]["name"] for thing in texts(workloads)["applications.yaml"]]
    (sentence,) = workloads.left_out
    assert sentence.startswith(f"core/metallb: the {field} of chart metallb ")
    assert "https://metallb.github.io/metallb/index.yaml" in sentence
    told = settings(K3sCluster(environments["staging"]), workloads)
    assert told["gitops"]["left_out"] == [sentence]
    assert "metallb" not in told["components"]
    assert told["k3s"]["disable"] == ["local-storage", "traefik"], "K3s' own takes its place"


def test_longhorn_is_left_out_where_no_node_has_a_disk_for_it(environments: dict[str, Environment]) -> None:
    staging = connected(environments["staging"]).model_copy(update={"agents": ()})
    workloads = Workloads.of(staging, PROJECT)
    (sentence,) = workloads.left_out
    assert sentence.startswith(
        "core/longhorn-system: no node of staging has a data disk at /var/lib/longhorn; add one"
    )
    told = settings(K3sCluster(staging), workloads)
    assert "longhorn-system" not in told["components"]
    assert told["k3s"]["disable"] == ["servicelb", "traefik"], "K3s' own storage stays"


def test_longhorns_disk_is_the_one_that_its_values_and_the_deploy_name() -> None:
    (component,) = (c for c in COMPONENTS if c.name == "longhorn-system")
    values = yaml.safe_load((KUBERNETES / "core/longhorn-system/values.yaml").read_text())
    assert component.disk == values["defaultSettings"]["defaultDataPath"] == longhorn.DATA


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_there_is_one_default_storage_class(cluster: str, environments: dict[str, Environment]) -> None:
    workloads = Workloads.of(environments[cluster], PROJECT)
    values = yaml.safe_load((KUBERNETES / "core/longhorn-system/values.yaml").read_text())
    ours = [
        values["persistence"]["defaultClass"] for c in workloads.components if c.name == "longhorn-system"
    ]
    disabled = settings(K3sCluster(environments[cluster]), workloads)["k3s"]["disable"]
    assert [*ours, "local-storage" not in disabled].count(True) == 1


def test_what_comes_behind_the_apps_is_no_part_of_roots_health(environments: dict[str, Environment]) -> None:
    applications = texts(Workloads.of(connected(environments["staging"]), PROJECT))["applications.yaml"]
    kept_apart = [
        thing["metadata"]["name"]
        for thing in applications
        if "argocd.argoproj.io/ignore-healthcheck" in thing["metadata"]["annotations"]
    ]
    assert kept_apart == ["secret-store"]


def test_the_store_is_left_out_without_infisical_and_aims_at_it_with(
    environments: dict[str, Environment],
) -> None:
    staging = environments["staging"]
    (sentence,) = Workloads.of(staging, PROJECT).left_out
    assert sentence.startswith("platform/secret-store: staging names no Infisical; ")
    told = connected(staging)
    assert Workloads.of(told, PROJECT).left_out == ()
    (component,) = texts(Workloads.of(told, PROJECT))["values/kustomization.yaml"]
    (store,) = (p for p in component["patches"] if p["target"]["kind"] == "ClusterSecretStore")
    assert {operation["path"]: operation["value"] for operation in yaml.safe_load(store["patch"])} == {
        "/spec/provider/infisical/hostAPI": "https://vault.home.arpa",
        "/spec/provider/infisical/secretsScope/projectSlug": "homelab",
        "/spec/provider/infisical/secretsScope/environmentSlug": "staging",
    }
