"""Paths, names, namespaces and policies of kubernetes/ fit together. What runs where, and in which order: test_clusters.py."""

import re
from pathlib import Path

import pytest
import yaml

from bootstrap.config.base import Environment
from bootstrap.config.pins import ARGOCD
from tests.kubernetes.objects import NOT_IN_A_NAMESPACE, Build, named

KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"
LAYERS = ("core", "platform", "apps")
FOLDERS = [path for layer in LAYERS for path in sorted((KUBERNETES / layer).iterdir())]
OVERLAYS = [str(path.relative_to(KUBERNETES)) for path in sorted(KUBERNETES.glob("*/*/overlays/*"))]
APPS = [overlay for overlay in OVERLAYS if overlay.startswith("apps/")]
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
# Their namespace.yaml says what their pods need of the node.
PRIVILEGED = {"metallb", "longhorn-system", "monitoring"}


def mentions(kustomization: Path) -> list[str]:
    """The resources, components and patch files that a kustomization names, as it writes them."""
    content = yaml.safe_load(kustomization.read_text())
    assert "helmCharts" not in content, f"{kustomization}: a chart is a source of its Application"
    patches = [entry["path"] for entry in content.get("patches", []) if "path" in entry]
    return [*content["resources"], *content.get("components", []), *patches]


def test_every_file_is_used_and_every_used_file_exists() -> None:
    local = {
        (path.parent / name).resolve()
        for path in KUSTOMIZATIONS
        for name in mentions(path)
        if ":" not in name
    }
    values = {*KUBERNETES.glob("*/*/values.yaml"), *KUBERNETES.glob("*/*/overlays/*/values.yaml")}
    used = {path for path in local if path.is_file()}
    assert [path for path in local if not path.exists()] == []
    assert {*KUBERNETES.rglob("*.yaml")} - {*KUSTOMIZATIONS} - values == used - values


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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_application_lives_in_the_namespace_of_its_name(overlay: str, built: Build) -> None:
    name, objects = overlay.split("/")[1], built(overlay)
    assert {thing["metadata"].get("namespace", name) for thing in objects} == {name}
    inside = [thing for thing in objects if thing["kind"] not in NOT_IN_A_NAMESPACE]
    assert list(named(objects, "Namespace")) == ([name] if inside else [])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_says_how_secure_its_pods_are(overlay: str, built: Build) -> None:
    for name, namespace in named(built(overlay), "Namespace").items():
        level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        assert level == ("privileged" if name in PRIVILEGED else "restricted")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_namespace_denies_all_traffic_but_what_it_allows(overlay: str, built: Build) -> None:
    objects = built(overlay)
    if not named(objects, "Namespace"):
        return
    deny = named(objects, "NetworkPolicy")["default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_cert_manager_may_ask_the_name_servers_of_a_zone(built: Build) -> None:
    policy = named(built("core/cert-manager/base"), "NetworkPolicy")["allow-name-servers"]["spec"]
    (egress,) = policy["egress"]
    assert {(port["protocol"], port["port"]) for port in egress["ports"]} == {("UDP", 53), ("TCP", 53)}
    assert "to" not in egress
    assert policy["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": "controller"}}


@pytest.mark.parametrize("overlay", APPS)
def test_an_app_has_probes_resources_and_a_disruption_budget(overlay: str, built: Build) -> None:
    objects = built(overlay)
    for workload in [thing for thing in objects if thing["kind"] in {"Deployment", "StatefulSet"}]:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
        selectors = [budget["spec"]["selector"] for budget in named(objects, "PodDisruptionBudget").values()]
        assert workload["spec"]["selector"] in selectors


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_ingress_has_one_name_below_the_clusters_domain_and_a_certificate(
    overlay: str, built: Build, environments: dict[str, Environment]
) -> None:
    domain = environments[overlay.rsplit("/", maxsplit=1)[1]].ingress.domain
    for ingress in named(built(overlay), "Ingress").values():
        hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
        assert [host for host in hosts if not re.fullmatch(rf"[a-z0-9-]+\.{re.escape(domain)}", host)] == []
        assert [host for tls in ingress["spec"]["tls"] for host in tls["hosts"]] == hosts
        assert all(tls["secretName"] for tls in ingress["spec"]["tls"])
        assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] in issuers(built)
        assert ingress["spec"]["ingressClassName"] == "traefik"


def issuers(built: Build) -> set[str]:
    return set(named(built("core/cert-manager/base"), "ClusterIssuer"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_placeholder_is_left(overlay: str, built: Build, environments: dict[str, Environment]) -> None:
    if "secret-store" in overlay and not environments[overlay.rsplit("/", maxsplit=1)[1]].gitops.infisical:
        return  # it does not run there
    text = yaml.safe_dump([thing for thing in built(overlay) if thing["kind"] != "CustomResourceDefinition"])
    assert re.findall(r"\b(?:DOMAIN|HOST|PROJECT|ENVIRONMENT)$", text, re.MULTILINE) == []
    assert "rzp-environment" not in text


def test_every_container_of_argo_cd_has_requests_and_every_pod_a_priority(built: Build) -> None:
    objects = built("core/argocd/overlays/demo")
    pods = [
        thing["spec"]["template"]["spec"]
        for thing in objects
        if thing["kind"] in {"Deployment", "StatefulSet"}
    ]
    assert len(pods) == 7
    assert all(container["resources"]["requests"] for pod in pods for container in pod["containers"])
    assert {pod["priorityClassName"] for pod in pods} == {"system-cluster-critical"}


def test_argo_cd_never_removes_a_part_of_itself_nor_waits_for_that(built: Build) -> None:
    for thing in built("core/argocd/overlays/demo"):
        notes = thing["metadata"]["annotations"]
        assert notes["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
        assert notes["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_object_of_ours_is_a_default_storage_class(overlay: str, built: Build) -> None:
    assert named(built(overlay), "StorageClass") == {}
