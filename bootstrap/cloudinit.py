"""Machine → user-data, meta-data, network-config → NoCloud ISO (label `cidata`).

The texts are templates in files/cloud-init/. The instance-id is the SMBIOS UUID: it never changes, so cloud-init never
starts over. Without its seed a machine must trust its cache, hence the marker `manual-clean` (facts: test bed).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pycdlib
import yaml

from bootstrap import hostkeys
from bootstrap.config.base import Environment
from bootstrap.machine import Machine
from bootstrap.secrets import Secret

_TEMPLATES = Path(__file__).parents[1] / "files" / "cloud-init"


@dataclass(frozen=True, slots=True)
class Seed:
    """The three files of a NoCloud seed. user-data holds the private host key, so it is kept out of every repr."""

    user_data: Secret
    meta_data: str
    network_config: str

    def iso(self) -> bytes:
        """An ISO 9660 image with Joliet and Rock Ridge names."""
        image = pycdlib.PyCdlib()
        image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
        files = (
            ("user-data", self.user_data.reveal()),
            ("meta-data", self.meta_data),
            ("network-config", self.network_config),
        )
        for index, (name, text) in enumerate(files):
            data = text.encode()
            image.add_fp(
                io.BytesIO(data), len(data), f"/SEED{index}.;1", rr_name=name, joliet_path=f"/{name}"
            )
        out = io.BytesIO()
        image.write_fp(out)
        image.close()
        return out.getvalue()


def seed(
    machine: Machine, environment: Environment, *, ssh_keys: tuple[str, ...], host_key_seed: Secret
) -> Seed:
    """Render the seed of one machine."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML; every value passes through the `yaml` filter
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["yaml"] = _scalar
    values = {
        "machine": machine,
        "environment": environment,
        "ssh_keys": ssh_keys,
        "host_key_private": hostkeys.private(host_key_seed, machine.uuid).reveal(),
        "host_key_public": hostkeys.public(host_key_seed, machine.uuid),
        "gateways": [str(g) for g in _gateways(environment)],
    }
    user_data, meta_data, network = (
        jinja.get_template(f"{name}.yaml.j2").render(values)
        for name in ("user-data", "meta-data", "network-config")
    )
    return Seed(Secret(user_data), meta_data, network)


def _gateways(environment: Environment) -> list[object]:
    network = environment.network
    return [network.ipv4.gateway] + ([network.ipv6.gateway] if network.ipv6 else [])


def _scalar(value: object) -> str:
    """A value as one YAML scalar or flow sequence on one line."""
    plain = [str(item) for item in value] if isinstance(value, (list, tuple)) else value
    if not isinstance(plain, (str, int, bool, list)):
        plain = str(plain)
    return (
        yaml.safe_dump(plain, default_flow_style=True, width=2**20, allow_unicode=True)
        .removesuffix("...\n")
        .strip()
    )
