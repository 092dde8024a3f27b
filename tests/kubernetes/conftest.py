"""Builds the folders of kubernetes/ as kustomize would, from local files alone.

Debian has no kustomize, and the checks must run everywhere. So this knows exactly what the tree uses (resources,
components, JSON patches that replace, strategic merges of maps and of lists of named maps, replacements of a host's
domain) and refuses everything else; where there is a kustomize on PATH, test_kustomize.py compares the two.
"""

import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from bootstrap import config
from bootstrap.config import demo
from bootstrap.config.base import Environment

Object = dict[str, Any]
Build = Callable[[str], list[Object]]

LOCAL = "config.kubernetes.io/local-config"
KUBERNETES = Path(__file__).resolve().parents[2] / "kubernetes"

# the C loader reads Argo CD's two megabytes in half a second, the Python one in five
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(text: str) -> list[Any]:
    return [document for document in yaml.load_all(text, Loader=Loader) if document]


@functools.cache
def read_once(manifest: Path) -> str:
    """Argo CD's install manifest as JSON, which is read forty times faster than YAML."""
    return json.dumps(documents(manifest.read_text()))


def merge(old: Any, new: Any) -> Any:
    """A strategic merge: maps by key, lists of named maps by name, anything else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merge(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and all(isinstance(item, dict) and "name" in item for item in [*old, *new]):
        named = {item["name"]: item for item in old}
        return list((named | {item["name"]: merge(named.get(item["name"]), item) for item in new}).values())
    return new


def replace(thing: Any, operation: Object) -> None:
    """One operation of a JSON patch; what is replaced must be there."""
    assert operation["op"] == "replace", f"the built-in build knows no JSON patch {operation['op']!r}"
    steps = [int(step) if step.isdigit() else step for step in operation["path"].lstrip("/").split("/")]
    for step in steps[:-1]:
        thing = thing[step]
    assert thing[steps[-1]] is not None, f"nothing to replace at {operation['path']}"
    thing[steps[-1]] = operation["value"]


def patch(objects: list[Object], change: Any, target: Object | None) -> None:
    """Apply one patch to all that it aims at."""
    named = target is not None  # such a patch may aim at what is not there, as a component's does
    target = target or {"kind": change["kind"], "name": change["metadata"]["name"]}
    assert set(target) <= {"kind", "name"}, f"the built-in build knows no such target: {target}"
    hits = [
        thing
        for thing in objects
        if re.fullmatch(target.get("kind", ".*"), thing["kind"])
        and re.fullmatch(target.get("name", ".*"), thing["metadata"]["name"])
    ]
    assert hits or named, f"no object for the patch of {target}"
    for thing in hits:
        if isinstance(change, dict) and change.get("$patch") == "delete":
            objects.remove(thing)
        elif isinstance(change, list):
            for operation in change:
                replace(thing, operation)
        else:
            identity = {"apiVersion": thing["apiVersion"], "kind": thing["kind"]}
            metadata = change["metadata"] | {"name": thing["metadata"]["name"]}
            thing.update(merge(thing, change | identity | {"metadata": metadata}))


def fill_in(objects: list[Object], replacement: Object) -> None:
    """The second part of each host's name becomes the cluster's domain."""
    source = replacement["source"]
    (value,) = (thing["data"]["domain"] for thing in objects if thing["metadata"]["name"] == source["name"])
    (target,) = replacement["targets"]
    assert source["fieldPath"] == "data.domain"
    assert target["options"] == {"delimiter": ".", "index": 1}
    assert target["fieldPaths"] == ["spec.rules.*.host", "spec.tls.*.hosts.*"]
    for thing in (thing for thing in objects if thing["kind"] == target["select"]["kind"]):
        for rule in thing["spec"]["rules"]:
            rule["host"] = completed(rule["host"], value)
        for tls in thing["spec"]["tls"]:
            tls["hosts"] = [completed(host, value) for host in tls["hosts"]]


def completed(host: str, domain: str) -> str:
    parts = host.split(".")
    return ".".join([parts[0], domain, *parts[2:]])


def accumulate(objects: list[Object], folder: Path, manifest: Path | None) -> None:
    """Add a kustomization's own objects, then let it work on all that is there (a Component sees its user's)."""
    (kustomization,) = documents((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "resources", "components", "patches", "replacements"}
    assert not set(kustomization) - known, f"{folder}: the built-in build does not know all of its keys"
    for name in kustomization["resources"]:
        if name.startswith("https://"):
            if manifest is None:
                pytest.skip("RZP_ARGOCD_MANIFEST names no copy of Argo CD's install manifest")
            objects += json.loads(read_once(manifest))
        else:
            path = (folder / name).resolve()
            objects += build(path, manifest) if path.is_dir() else documents(path.read_text())
    for name in kustomization.get("components", []):
        accumulate(objects, (folder / name).resolve(), manifest)
    for entry in kustomization.get("patches", []):
        for change in documents((folder / entry["path"]).read_text() if "path" in entry else entry["patch"]):
            patch(objects, change, entry.get("target"))
    for replacement in kustomization.get("replacements", []):
        fill_in(objects, replacement)
    objects[:] = [thing for thing in objects if LOCAL not in thing["metadata"].get("annotations", {})]


def build(folder: Path, manifest: Path | None) -> list[Object]:
    """The objects of a kustomization. `manifest` stands in for the one remote base."""
    objects: list[Object] = []
    accumulate(objects, folder, manifest)
    return objects


@pytest.fixture(scope="session")
def kubernetes() -> Path:
    return KUBERNETES


@pytest.fixture(scope="session")
def manifest() -> Path | None:
    """A local copy of Argo CD's pinned install manifest, if there is one."""
    path = os.environ.get("RZP_ARGOCD_MANIFEST")
    return Path(path) if path else None


@pytest.fixture(scope="session")
def built(manifest: Path | None) -> Build:
    """The objects of a folder, named from kubernetes/: built once, to be read only."""
    return functools.cache(lambda folder: build(KUBERNETES / folder, manifest))


@pytest.fixture(scope="session")
def root() -> Callable[[str], Object]:
    """The root Application of a cluster, rendered as the deploy renders it."""
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    template = jinja.from_string((KUBERNETES / "clusters/root.yaml.j2").read_text())

    def render(cluster: str) -> Object:
        text = template.render(
            repository="https://git.lan/home/infra.git",
            revision="release-7",
            path=f"kubernetes/clusters/{cluster}",
        )
        (application,) = documents(text)
        return dict(application)

    return render


def environment(name: str) -> Environment:
    """As it is committed; a running lab changes nothing."""
    return demo.build({}) if name == "demo" else config.load(name)


@pytest.fixture(scope="session")
def environments() -> dict[str, Environment]:
    return {name: environment(name) for name in config.names()}
