"""The components of the layers core and platform: their order, their charts, and the add-ons of K3s that they replace.

A component runs on a cluster when kubernetes/LAYER/NAME/overlays/ENV exists, its chart's pin is known and a machine has the
disk that it needs. Applications (the layer apps) are not listed: Argo CD finds them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bootstrap.config import pins
from bootstrap.config.model import Hostname, Model
from bootstrap.config.software import Chart

LAYERS = ("core", "platform")
APPS_WAVE = 20


class Component(Model):
    """`wave`: a component is created when all of lower waves are synced and healthy; core 0-9, platform 10-19, apps 20, and
    behind them what depends on something outside, so that nothing waits for it.

    `name` is the name of its folder, of its Application and of its namespace. `replaces`: the K3s add-on that is disabled
    where this runs. `disk`: where a data disk is mounted, without which it has no place for data.
    `infisical`: it is for clusters that have an Infisical.
    """

    layer: Literal["core", "platform"]
    name: Hostname
    wave: int = Field(ge=0, le=29)
    chart: Chart | None = None
    replaces: str | None = None
    disk: str | None = None
    infisical: bool = False


COMPONENTS = (
    Component(layer="core", name="argocd", wave=0),
    Component(layer="core", name="cert-manager", wave=1, chart=pins.CERT_MANAGER),
    Component(
        layer="core",
        name="metallb",
        wave=1,
        chart=pins.METALLB,
        replaces="servicelb",
    ),
    # Longhorn's own tools expect this namespace
    Component(
        layer="core",
        name="longhorn-system",
        wave=1,
        chart=pins.LONGHORN,
        replaces="local-storage",
        disk="/var/lib/longhorn",
    ),
    Component(layer="core", name="traefik", wave=2, chart=pins.TRAEFIK, replaces="traefik"),
    Component(layer="platform", name="priorities", wave=10),
    Component(layer="platform", name="external-secrets", wave=11, chart=pins.EXTERNAL_SECRETS),
    Component(layer="platform", name="monitoring", wave=11, chart=pins.MONITORING),
    Component(layer="platform", name="secret-store", wave=21, infisical=True),
)
