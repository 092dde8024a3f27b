"""Every object is what Kubernetes of the pinned minor, or the pinned Argo CD, accepts, field by field."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from bootstrap.config.pins import K3S

Object = dict[str, Any]
Build = Callable[[str], list[Object]]
Faults = Callable[[Object], list[str]]

KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"
CLUSTERS = sorted(path.parent.name for path in KUBERNETES.glob("clusters/*/kustomization.yaml"))
OVERLAYS = sorted(str(path.relative_to(KUBERNETES)) for path in KUBERNETES.glob("*/*/overlays/*"))
BROKEN = list(yaml.safe_load_all((Path(__file__).parent / "fixtures/broken.yaml").read_text()))
IDENTITY: Object = {"apiVersion": {}, "kind": {}, "metadata": {}}
MINOR = str(K3S.version).lstrip("v").rpartition(".")[0]


def strict(schema: Any) -> Any:
    """A CRD's schema in which an unknown field is a fault; the API server would drop it silently."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def images(thing: Any) -> list[str]:
    """Every value of a key `image`, however deep."""
    if isinstance(thing, list):
        return [image for part in thing for image in images(part)]
    if not isinstance(thing, dict):
        return []
    own = [value for key, value in thing.items() if key == "image" and isinstance(value, str)]
    return own + [image for part in thing.values() for image in images(part)]


def unwanted(thing: Object) -> list[str]:
    """What no schema forbids and this repository does."""
    floating = [
        name for name in images(thing) if not re.search(r":(?!latest\b)[\w.-]+(@sha256:[0-9a-f]{64})?$", name)
    ]
    return [f"{name} names no fixed version" for name in floating] + (
        ["secrets do not belong into Git"] if thing["kind"] == "Secret" else []
    )


def against_kubernetes(thing: Object) -> list[str]:
    try:
        used = kubernetes_validate.validate(thing, MINOR, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"no schema for {thing['apiVersion']} {thing['kind']}"]
    return [] if used == MINOR else [f"kubernetes-validate knows Kubernetes {used}, not {MINOR}"]


@pytest.fixture(scope="module")
def argo(manifest: Path | None) -> Callable[[str], Any]:
    """The validator of one of Argo CD's kinds, from the CRDs in the install manifest."""
    if manifest is None:
        return lambda kind: pytest.skip(
            f"{kind}: RZP_ARGOCD_MANIFEST names no copy of Argo CD's install manifest"
        )
    crds = [
        part for part in manifest.read_text().split("\n---\n") if "\nkind: CustomResourceDefinition\n" in part
    ]
    validators = {}
    for crd in (yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) for text in crds):
        schema = strict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        validators[crd["spec"]["names"]["kind"]] = jsonschema.Draft202012Validator(schema)
    return validators.__getitem__


@pytest.fixture(scope="module")
def operators() -> dict[str, Any]:
    """The validators of the operators' kinds, by apiVersion and kind."""
    schemas = yaml.safe_load((Path(__file__).parent / "fixtures/schemas.yaml").read_text())
    return {
        kind: jsonschema.Draft202012Validator(
            strict({"type": "object", "required": ["spec"], "properties": IDENTITY | schema})
        )
        for kind, schema in schemas.items()
    }


@pytest.fixture(scope="module")
def faults(argo: Callable[[str], Any], operators: dict[str, Any]) -> Faults:
    """All that is wrong with an object. An object that several overlays share is looked at once."""
    seen: dict[str, list[str]] = {}

    def look(thing: Object) -> list[str]:
        if thing["apiVersion"].startswith("argoproj.io/"):
            found = [error.message for error in argo(thing["kind"]).iter_errors(thing)]
        elif validator := operators.get(f"{thing['apiVersion']} {thing['kind']}"):
            found = [error.message for error in validator.iter_errors(thing)]
        else:
            found = against_kubernetes(thing)
        return found + unwanted(thing)

    def remembered(thing: Object) -> list[str]:
        key = json.dumps(thing, sort_keys=True)
        if key not in seen:
            seen[key] = look(thing)
        return seen[key]

    return remembered


def told(objects: list[Object], faults: Faults) -> dict[str, list[str]]:
    return {f"{thing['kind']} {thing['metadata']['name']}": f for thing in objects if (f := faults(thing))}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_of_an_overlay_is_valid(overlay: str, built: Build, faults: Faults) -> None:
    from_argo_cd = {"argocd-secret", "argocd-notifications-secret"}  # empty ones, of the install manifest
    ours = [thing for thing in built(overlay) if thing["metadata"]["name"] not in from_argo_cd]
    assert ours
    assert told(ours, faults) == {}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_project_and_application_is_valid(cluster: str, built: Build, faults: Faults) -> None:
    objects = built(f"clusters/{cluster}")
    assert told(objects, faults) == {}


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_root_application_is_valid(cluster: str, root: Callable[[str], Object], faults: Faults) -> None:
    assert faults(root(cluster)) == []


@pytest.mark.parametrize("thing", BROKEN, ids=lambda thing: f"{thing['kind']}-{thing['metadata']['name']}")
def test_a_broken_object_is_found(thing: Object, faults: Faults) -> None:
    assert thing["metadata"]["annotations"]["fault"] in " ".join(faults(thing))


def test_the_store_that_only_clusters_with_infisical_have_is_valid(built: Build, faults: Faults) -> None:
    objects = built("platform/secret-store/base")
    assert told([thing for thing in objects if thing["kind"] == "ClusterSecretStore"], faults) == {}
