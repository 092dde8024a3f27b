"""docs/layers.md: what Argo CD brings to each cluster and in which order, read from the tree kubernetes/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

INTRODUCTION = """# The layers of a cluster

Root syncs `kubernetes/clusters/ENV`: first the projects, then the components of `core` and `platform` wave by wave, each wave
when the one before is synced and healthy, and last the ApplicationSet that makes an Application of every folder in `apps`.
How that works: [gitops.md](gitops.md).

"""
STYLES = "  classDef out stroke-dasharray: 4 4\n"
WAVE = "argocd.argoproj.io/sync-wave"
MADE = "apps"  # the layer whose Applications an ApplicationSet makes


@dataclass(frozen=True, slots=True)
class Component:
    """A folder of a layer on one cluster. `wave` None: no Application was generated for it, it is left out there."""

    layer: str
    name: str
    wave: int | None
    chart: str = ""


def page(root: Path) -> str:
    """The whole file."""
    tree = root / "kubernetes"
    clusters = {
        folder.name: components(tree, folder.name)
        for folder in sorted((tree / "clusters").iterdir())
        if (folder / "applications.yaml").exists()
    }
    drawn = graph(clusters)
    said = "Dashed: left out on the clusters that the table names.\n\n" if ":::out" in drawn else ""
    return f"{INTRODUCTION}```mermaid\n{drawn}```\n\n{said}{table(clusters)}"


def components(tree: Path, cluster: str) -> list[Component]:
    """Every component that has an overlay for the cluster, in the order in which it comes."""
    generated = {
        _path(said): (int(said["metadata"]["annotations"][WAVE]), _chart(said))
        for said in _objects(tree / "clusters" / cluster / "applications.yaml")
    }
    found = []
    for folder in tree.glob(f"*/*/overlays/{cluster}"):
        layer, name = folder.relative_to(tree).parts[:2]
        of_layer = (_wave_of_apps(tree) if layer == MADE else None, "")
        wave, chart = generated.get(f"kubernetes/{folder.relative_to(tree).as_posix()}", of_layer)
        found.append(Component(layer, name, wave, chart))
    return sorted(found, key=_order)


def graph(clusters: dict[str, list[Component]]) -> str:
    """Mermaid: one box per layer and wave, an arrow to what comes next."""
    seen: dict[tuple[str, str], list[Component]] = {}
    for component in (component for there in clusters.values() for component in there):
        seen.setdefault((component.layer, component.name), []).append(component)
    waves: dict[tuple[str, int], list[str]] = {}
    for (layer, _), there in seen.items():
        wave = max((component.wave for component in there if component.wave is not None), default=-1)
        waves.setdefault((layer, wave), []).append(_node(there))
    text = "flowchart TD\n  root([root]) --> projects[AppProjects]\n"
    before = "projects"
    for layer, wave in sorted(waves, key=lambda key: (key[1] < 0, key[1])):
        name = f"{layer}-{wave}" if wave >= 0 else f"{layer}-out"
        title = f"{layer}, wave {wave}" if wave >= 0 else f"{layer}, left out"
        nodes = "".join(f"    {node}\n" for node in sorted(waves[layer, wave]))
        text += f'  subgraph {name}["{title}"]\n{nodes}  end\n'
        if wave >= 0:
            label = " -- ApplicationSet --> " if layer == MADE else " --> "
            text, before = f"{text}  {before}{label}{name}\n", name
    return text + (STYLES if ":::out" in text else "")


def table(clusters: dict[str, list[Component]]) -> str:
    """Which component runs on which cluster."""
    everything = sorted({(c.layer, c.name) for there in clusters.values() for c in there})
    found = {name: {(c.layer, c.name): c for c in there} for name, there in clusters.items()}
    order = sorted(
        everything, key=lambda key: min(_order(there[key]) for there in found.values() if key in there)
    )
    rows = f"| layer | component | wave | chart | {' | '.join(clusters)} |\n|{'---|' * (4 + len(clusters))}\n"
    for layer, name in order:
        there = [found[cluster].get((layer, name)) for cluster in clusters]
        waves = sorted({str(c.wave) for c in there if c and c.wave is not None})
        charts = sorted({c.chart for c in there if c and c.chart})
        marks = ["–" if c is None else "left out" if c.wave is None else "yes" for c in there]
        rows += f"| {layer} | {name} | {', '.join(waves)} | {', '.join(charts)} | {' | '.join(marks)} |\n"
    return rows


def _node(there: list[Component]) -> str:
    one = there[0]
    charts = sorted({component.chart for component in there if component.chart})
    label = "<br>".join([one.name, *charts])
    dashed = ":::out" if any(component.wave is None for component in there) else ""
    return f'{one.layer}-{one.name}["{label}"]{dashed}'


def _order(component: Component) -> tuple[int, str, str]:
    return (99 if component.wave is None else component.wave, component.layer, component.name)


def _path(application: dict[str, Any]) -> str:
    """The overlay that an Application syncs."""
    return str(next(source["path"] for source in application["spec"]["sources"] if "path" in source))


def _chart(application: dict[str, Any]) -> str:
    charts = [source for source in application["spec"]["sources"] if "chart" in source]
    return ", ".join(f"{source['chart']} {source['targetRevision']}" for source in charts)


def _wave_of_apps(tree: Path) -> int:
    objects = _objects(tree / "clusters" / "base" / "apps.yaml")
    return int(next(o for o in objects if o["kind"] == "ApplicationSet")["metadata"]["annotations"][WAVE])


def _objects(file: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(file.read_text()) if found]
