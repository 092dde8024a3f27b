"""clusters/ENV: which components run where, in which order, from where, and what their projects let them do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bootstrap import config, gitops
from bootstrap.config.base import Environment
from bootstrap.config.components import APPS_WAVE, COMPONENTS, Component
from bootstrap.gitops import Workloads
from bootstrap.gitops.text import document
from deploys import health
from tests.kubernetes.objects import NOT_IN_A_NAMESPACE, Build, Object, named

PROJECT = Path(__file__).resolve().parents[2]
KUBERNETES = PROJECT / "kubernetes"
CLUSTERS = tuple(config.names())
WAVE = "argocd.argoproj.io/sync-wave"


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_committed_folder_is_up_to_date(cluster: str, environments: dict[str, Environment]) -> None:
    files = gitops.files(Workloads.of(environments[cluster], PROJECT), PROJECT)
    stale = [str(file.path.relative_to(PROJECT)) for file in files if file.stale]
    assert stale == [], f"run: rzp-bootstrap inventory {cluster}"
    folder = KUBERNETES / "clusters" / cluster
    assert {path for path in folder.rglob("*") if path.is_file()} == {file.path for file in files}


def test_every_cluster_in_the_tree_is_an_environment() -> None:
    overlays = {path.name for path in KUBERNETES.glob("*/*/overlays/*")}
    folders = {path.name for path in KUBERNETES.glob("clusters/*/")} - {"base"}
    assert folders | overlays == {*CLUSTERS}, "delete what an environment that is gone has left"


@pytest.mark.parametrize(
    "text", ["1234e56", "1e3", "0o17", "089", "1.5", "true", "1.12.0", "main", "v1", "release-7"]
)
def test_a_text_is_never_read_as_a_number(text: str) -> None:
    """By YAML 1.2, of which PyYAML does not know all numbers."""
    (line,) = document([{"revision": text}]).splitlines()
    plain = line.removeprefix("revision: ")
    assert yaml.safe_load(line) == {"revision": text}
    assert (plain == text) == (text in ("1.12.0", "main", "v1", "release-7"))


def test_the_catalogue_and_the_tree_name_the_same_components() -> None:
    folders = {
        (path.parent.name, path.name)
        for layer in ("core", "platform")
        for path in KUBERNETES.glob(f"{layer}/*")
    }
    assert {(component.layer, component.name) for component in COMPONENTS} == folders


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_component_runs_if_and_only_if_its_overlay_exists(
    cluster: str, built: Build, environments: dict[str, Environment]
) -> None:
    overlays = {
        path.parents[1].name
        for layer in ("core", "platform")
        for path in KUBERNETES.glob(f"{layer}/*/overlays/{cluster}")
    }
    told = Workloads.of(environments[cluster], PROJECT).left_out
    left_out = {sentence.partition(":")[0].rpartition("/")[2] for sentence in told}
    assert set(named(built(f"clusters/{cluster}"), "Application")) == overlays - left_out


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_projects_come_first_then_core_then_platform_then_the_apps(cluster: str, built: Build) -> None:
    objects = built(f"clusters/{cluster}")
    waves = {
        layer: {
            int(thing["metadata"]["annotations"][WAVE])
            for thing in objects
            if thing["kind"] == kind and thing.get("spec", {}).get("project", layer) == layer
        }
        for layer, kind in (
            ("projects", "AppProject"),
            ("core", "Application"),
            ("platform", "Application"),
            ("apps", "ApplicationSet"),
        )
    }
    assert waves["projects"] == {-1}
    assert max(waves["core"]) < 10 <= min(waves["platform"]) <= max(waves["platform"]) < 20
    assert waves["apps"] == {APPS_WAVE} == {health.APPS_WAVE}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_an_application_names_its_folder_its_chart_and_nothing_else(
    cluster: str, built: Build, environments: dict[str, Environment]
) -> None:
    gitops_settings = environments[cluster].gitops
    for name, application in named(built(f"clusters/{cluster}"), "Application").items():
        (component,) = (c for c in COMPONENTS if c.name == name)
        spec, (git, *charts) = application["spec"], application["spec"]["sources"]
        assert (spec["project"], spec["destination"]["namespace"]) == (component.layer, name)
        assert git["path"] == f"kubernetes/{component.layer}/{name}/overlays/{cluster}"
        assert (git["repoURL"], git["targetRevision"]) == (
            gitops_settings.repository,
            gitops_settings.revision,
        )
        chart = component.chart
        assert [(c["repoURL"], c["chart"], c["targetRevision"]) for c in charts] == (
            [(chart.repository, chart.name, chart.version)] if chart else []
        )
        for file in [file for c in charts for file in c["helm"]["valueFiles"]]:
            assert (PROJECT / file.removeprefix(f"${git['ref']}/")).is_file()


@pytest.mark.parametrize("component", [c for c in COMPONENTS if c.chart], ids=lambda c: str(c.name))
def test_a_charts_values_are_in_git_and_read_by_its_application(component: Component, built: Build) -> None:
    folder = f"kubernetes/{component.layer}/{component.name}"
    application = named(built("clusters/production"), "Application").get(component.name)
    if application is None:
        pytest.skip("it does not run on production")
    wanted = [f"{folder}/values.yaml", f"{folder}/overlays/production/values.yaml"]
    assert application["spec"]["sources"][1]["helm"]["valueFiles"] == [
        f"$repository/{file}" for file in wanted if (PROJECT / file).exists()
    ]
    assert yaml.safe_load((PROJECT / wanted[0]).read_text())


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_pool_is_the_environments(
    cluster: str, built: Build, environments: dict[str, Environment]
) -> None:
    first, last = (environments[cluster].addresses(host) for host in environments[cluster].ingress.pool)
    pool = named(built(f"core/metallb/overlays/{cluster}"), "IPAddressPool")["default"]
    assert pool["spec"]["addresses"] == [f"{a}-{b}" for a, b in zip(first, last, strict=True)]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_layer_may_not_enter_the_namespaces_of_the_layers_below(cluster: str, built: Build) -> None:
    core = {c.name for c in COMPONENTS if c.layer == "core"}
    platform = {c.name for c in COMPONENTS if c.layer == "platform"}
    closed: dict[str, set[str]] = {
        "core": set(),
        "platform": {*core, "kube-*"},
        "apps": {*core, *platform, "kube-*"},
    }
    for name, project in named(built(f"clusters/{cluster}"), "AppProject").items():
        allowed = {destination["namespace"] for destination in project["spec"]["destinations"]}
        assert allowed == {"*", *(f"!{namespace}" for namespace in closed[name])}
        assert {entry["name"] for entry in project["spec"]["clusterResourceBlacklist"]} == closed[name]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_projects_allow_every_source_and_kind_that_their_layer_uses(
    cluster: str, built: Build, environments: dict[str, Environment]
) -> None:
    objects = built(f"clusters/{cluster}")
    for name, project in named(objects, "AppProject").items():
        used = [a["spec"] for a in named(objects, "Application").values() if a["spec"]["project"] == name]
        sources = {source["repoURL"] for spec in used for source in spec["sources"]}
        assert set(project["spec"]["sourceRepos"]) == sources | {environments[cluster].gitops.repository}
        allowed = {entry["kind"] for entry in project["spec"]["clusterResourceWhitelist"]}
        kinds = {
            thing["kind"]
            for path in KUBERNETES.glob(f"{name}/*/overlays/{cluster}")
            if allowed != {"*"}
            for thing in built(str(path.relative_to(KUBERNETES)))
        }
        assert kinds & NOT_IN_A_NAMESPACE <= allowed


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_apps_are_found_by_their_folders(
    cluster: str, built: Build, environments: dict[str, Environment]
) -> None:
    spec = named(built(f"clusters/{cluster}"), "ApplicationSet")["apps"]["spec"]
    (generator,) = (entry["git"] for entry in spec["generators"])
    gitops_settings = environments[cluster].gitops
    assert generator == {
        "repoURL": gitops_settings.repository,
        "revision": gitops_settings.revision,
        "directories": [{"path": f"kubernetes/apps/*/overlays/{cluster}"}],
    }
    assert spec["goTemplateOptions"] == ["missingkey=error"]
    template = spec["template"]
    assert template["metadata"]["name"] == "{{ index .path.segments 2 }}"
    assert template["spec"]["project"] == "apps"
    assert template["spec"]["destination"]["namespace"] == "{{ index .path.segments 2 }}"
    assert template["spec"]["source"]["repoURL"] == gitops_settings.repository
    assert template["spec"]["source"]["targetRevision"] == gitops_settings.revision


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_root_syncs_the_clusters_folder_and_does_not_manage_itself(
    cluster: str, root: Callable[[str], Object], built: Build
) -> None:
    source = root(cluster)["spec"]["source"]
    assert source["path"] == f"kubernetes/clusters/{cluster}"
    assert "root" not in named(built(f"clusters/{cluster}"), "Application")
    assert root(cluster)["spec"]["syncPolicy"]["automated"] == {"prune": False, "selfHeal": True}
