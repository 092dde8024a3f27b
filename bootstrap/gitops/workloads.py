"""What of the layers core and platform runs on a cluster: said by the tree (kubernetes/LAYER/NAME/overlays/ENV), the pins and the disks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrap.config.base import Environment
from bootstrap.config.components import COMPONENTS, Component


@dataclass(frozen=True, slots=True)
class Workloads:
    """What of core and platform runs on one cluster, in the order in which it is created."""

    environment: Environment
    components: tuple[Component, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, environment: Environment, project: Path, catalogue: tuple[Component, ...] = COMPONENTS
    ) -> Workloads:
        """Read from the tree below `project`."""
        tree = project / "kubernetes"
        wanted = [c for c in catalogue if (tree / c.layer / c.name / "overlays" / environment.name).is_dir()]
        lacks = {c.name: sentence for c in wanted if (sentence := _lacking(c, environment))}
        return cls(
            environment,
            tuple(c for c in sorted(wanted, key=lambda c: c.wave) if c.name not in lacks),
            tuple(lacks.values() if wanted else [_nothing(environment.name)]),
        )

    @property
    def replaced(self) -> set[str]:
        """K3s' add-ons whose place is taken."""
        return {component.replaces for component in self.components if component.replaces}


def _nothing(name: str) -> str:
    return (
        f"core and platform: kubernetes/ has no overlays/{name}, so the cluster runs K3s' own add-ons and no Argo CD of its own;"
        " copy those of another cluster (docs/runbook.md), then run rzp-bootstrap inventory " + name
    )


def _lacking(component: Component, environment: Environment) -> str | None:
    """Why a component is left out, and what to do about it; None when it runs."""
    return (
        _unpinned(component, environment.name)
        or _homeless(component, environment)
        or _unconnected(component, environment)
    )


def _unconnected(component: Component, environment: Environment) -> str | None:
    if not component.infisical or environment.gitops.infisical:
        return None
    return f"{component.layer}/{component.name}: {environment.name} names no Infisical; give its GitOps one, or delete its overlay"


def _unpinned(component: Component, name: str) -> str | None:
    chart = component.chart
    if chart is None or not chart.missing():
        return None
    return (
        f"{component.layer}/{component.name}: the {' and the '.join(chart.missing())} of chart {chart.name}"
        f" {chart.version or ''}".rstrip()
        + " is None in bootstrap/config/pins.py;"
        f" read it (as `digest`) in {chart.repository}/index.yaml, enter it, run rzp-bootstrap inventory {name}"
    )


def _homeless(component: Component, environment: Environment) -> str | None:
    """Volumes would wait for a disk that no node has, and what comes later for them."""
    mounts = {disk.mount for pool in environment.pools if pool.indexes for disk in pool.data_disks}
    if component.disk is None or component.disk in mounts:
        return None
    return (
        f"{component.layer}/{component.name}: no node of {environment.name} has a data disk at {component.disk}; add one to"
        f" a pool's data_disks in bootstrap/config/{environment.name}.py, or delete its overlay"
    )
