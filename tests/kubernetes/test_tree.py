"""Paths, names, projects and versions of kubernetes/ fit together."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.config.pins import ARGOCD

Object = dict[str, Any]
Build = Callable[[str], list[Object]]

KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"
CLUSTERS = ("demo", "production", "staging")
LAYERS = ("core", "platform", "apps")
FOLDERS = [path for layer in LAYERS for path in sorted((KUBERNETES / layer).iterdir())]
APPS = [path for path in FOLDERS if path.parent.name == "apps"]
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
NOT_IN_A_NAMESPACE = {
    "Namespace",
    "PriorityClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
}


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}


def mentions(kustomization: Path) -> list[str]:
    """The resources and patch files that a kustomization names, as it writes them."""
    content = yaml.safe_load(kustomization.read_text())
    patches = [entry["path"] for entry in content.get("patches", []) if "path" in entry]
    return [*content["resources"], *patches]


def test_every_environment_has_a_cluster() -> None:
    assert sorted(path.name for path in (KUBERNETES / "clusters").iterdir() if path.is_dir()) == [
        "base",
        *CLUSTERS,
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_folder_runs_in_every_environment(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "overlays").iterdir()) == list(CLUSTERS)


def test_every_file_is_used_and_every_used_file_exists() -> None:
    local = {
        (path.parent / name).resolve()
        for path in KUSTOMIZATIONS
        for name in mentions(path)
        if ":" not in name
    }
    assert [path for path in local if not path.exists()] == []
    assert set(KUBERNETES.rglob("*.yaml")) - set(KUSTOMIZATIONS) == {path for path in local if path.is_file()}


def test_the_only_remote_base_is_the_pinned_argo_cd() -> None:
    remote = [name for path in KUSTOMIZATIONS for name in mentions(path) if ":" in name]
    assert remote == [ARGOCD.url]
    assert f"/{ARGOCD.version}/" in remote[0]


def test_the_install_manifest_at_hand_is_of_the_pinned_version(built: Build) -> None:
    server = named(built("core/argocd/base"), "Deployment")["argocd-server"]
    assert server["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{ARGOCD.version}")


def test_application_names_are_unique_and_fit_a_namespace() -> None:
    names = [path.name for path in FOLDERS]
    assert len({*names, "root"}) == len(names) + 1
    assert [name for name in names if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_application_lives_in_the_namespace_of_its_name(folder: Path, built: Build) -> None:
    for cluster in CLUSTERS:
        objects = built(f"{folder.relative_to(KUBERNETES)}/overlays/{cluster}")
        assert {thing["metadata"].get("namespace", folder.name) for thing in objects} == {folder.name}
        inside = [thing for thing in objects if thing["kind"] not in NOT_IN_A_NAMESPACE]
        assert list(named(objects, "Namespace")) == ([folder.name] if inside else [])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_namespace_says_how_secure_its_pods_are(folder: Path, built: Build) -> None:
    for namespace in named(built(f"{folder.relative_to(KUBERNETES)}/overlays/demo"), "Namespace").values():
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("folder", APPS, ids=lambda path: path.name)
def test_an_app_denies_all_traffic_but_what_it_allows(folder: Path, built: Build) -> None:
    policies = named(built(f"apps/{folder.name}/overlays/demo"), "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("folder", APPS, ids=lambda path: path.name)
def test_an_app_has_probes_resources_and_a_disruption_budget(folder: Path, built: Build) -> None:
    objects = built(f"apps/{folder.name}/overlays/demo")
    for workload in [thing for thing in objects if thing["kind"] in {"Deployment", "StatefulSet"}]:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
        selectors = [budget["spec"]["selector"] for budget in named(objects, "PodDisruptionBudget").values()]
        assert workload["spec"]["selector"] in selectors


def test_every_container_of_argo_cd_has_requests(built: Build) -> None:
    objects = built("core/argocd/overlays/demo")
    pods = [
        thing["spec"]["template"]["spec"]
        for thing in objects
        if thing["kind"] in {"Deployment", "StatefulSet"}
    ]
    assert len(pods) == 7
    assert all(container["resources"]["requests"] for pod in pods for container in pod["containers"])


def test_argo_cd_never_removes_a_part_of_itself(built: Build) -> None:
    objects = built("core/argocd/overlays/demo")
    options = {thing["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] for thing in objects}
    assert options == {"Prune=false,Delete=false"}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_each_layer_has_a_project_and_an_application_set(cluster: str, built: Build) -> None:
    objects = built(f"clusters/{cluster}")
    sets = named(objects, "ApplicationSet")
    assert set(named(objects, "AppProject")) == set(sets) == set(LAYERS)
    for layer, spec in ((name, thing["spec"]) for name, thing in sets.items()):
        assert spec["generators"][0]["git"]["directories"] == [
            {"path": f"kubernetes/{layer}/*/overlays/{cluster}"}
        ]
        assert spec["goTemplateOptions"] == ["missingkey=error"]
        assert spec["template"]["metadata"]["name"] == "{{ index .path.segments 2 }}"
        assert spec["template"]["spec"]["project"] == layer
        assert spec["template"]["spec"]["destination"]["namespace"] == "{{ index .path.segments 2 }}"
        assert {thing["metadata"]["namespace"] for thing in objects} == {"argocd"}


@pytest.mark.parametrize("layer", ["core", "platform"])
def test_an_empty_match_deletes_nothing_below_the_apps(layer: str, built: Build) -> None:
    policy = named(built("clusters/production"), "ApplicationSet")[layer]["spec"]["syncPolicy"]
    assert policy == {"applicationsSync": "create-update", "preserveResourcesOnDeletion": True}


def test_only_core_may_touch_argo_cd_and_the_system(built: Build) -> None:
    for name, project in named(built("clusters/production"), "AppProject").items():
        namespaces = {destination["namespace"] for destination in project["spec"]["destinations"]}
        assert namespaces == ({"*"} if name == "core" else {"*", "!argocd", "!kube-*"})


def test_projects_allow_every_kind_that_their_layer_uses(built: Build) -> None:
    for name, project in named(built("clusters/demo"), "AppProject").items():
        kinds = {entry["kind"] for entry in project["spec"]["clusterResourceWhitelist"]}
        folders = [path for path in FOLDERS if path.parent.name == name and kinds != {"*"}]
        used = {thing["kind"] for path in folders for thing in built(f"{name}/{path.name}/overlays/demo")}
        assert used & NOT_IN_A_NAMESPACE <= kinds


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_root_puts_the_address_and_revision_of_the_environment_everywhere(
    cluster: str, root: Callable[[str], Object], running: Build
) -> None:
    source = root(cluster)["spec"]["source"]
    objects = running(cluster)
    text = yaml.safe_dump([source, objects])
    assert (KUBERNETES.parent / source["path"] / "kustomization.yaml").exists()
    assert "example.org" not in text
    assert set(re.findall(r"repoURL: (\S+)", text)) == {"https://git.lan/home/infra.git"}
    assert set(re.findall(r"(?:revision|targetRevision): (\S+)", text)) == {"release-7"}
    for project in named(objects, "AppProject").values():
        assert project["spec"]["sourceRepos"] == ["https://git.lan/home/infra.git"]


def test_root_does_not_manage_itself(running: Build) -> None:
    assert named(running("demo"), "Application") == {}
