"""The house: who may import whom, and which third-party library lives where. Read from the source with ast."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT, imports, modules, part

# A part of bootstrap → the parts that it may import. cli may import all but the lab's inside.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "project": {"errors"},
    "secrets": {"errors"},
    "journal": {"errors"},
    "runlock": {"errors", "journal"},
    "sshprobe": {"errors"},
    "config": {"errors"},
    "machine": set(),
    "hostkeys": {"secrets"},
    "cluster": {"config", "machine"},
    "live": {"machine"},
    "fields": {"live", "machine"},
    "change": {"fields", "live", "machine"},
    "deletion": {"live", "machine"},
    "comparison": {"change", "deletion", "fields", "live", "machine"},
    "plan": {"change", "comparison", "live", "machine"},
    "kubernetes": {"errors"},
    "status": {"comparison", "errors", "fields", "kubernetes", "live", "machine"},
    "output": {"cluster", "machine"},
    "cloudinit": {"config", "hostkeys", "machine", "secrets"},
    "generated": set(),
    "gitops": {"config", "generated"},
    "inventory": {"cluster", "generated", "gitops", "hostkeys", "machine", "secrets"},
    "proxmox": {"config", "errors", "live", "machine", "secrets"},
    "apply": {
        "change",
        "comparison",
        "config",
        "errors",
        "fields",
        "live",
        "machine",
        "plan",
        "proxmox",
        "sshprobe",
    },
    "charts": {"config", "doctor"},
    "doctor": {"config", "errors", "machine", "proxmox"},
    "lab": {"errors"},
}
HOMES: dict[str, set[str]] = {
    "click": {"bootstrap/cli"},
    "rich": {"bootstrap/cli"},
    "pydantic": {"bootstrap/config", "bootstrap/proxmox/access.py", "deploys/settings.py"},
    "proxmoxer": {"bootstrap/proxmox"},
    "requests": {"bootstrap/proxmox", "bootstrap/charts.py"},
    "requests_toolbelt": {"bootstrap/proxmox"},
    "urllib3": {"bootstrap/proxmox"},
    "jinja2": {"bootstrap/cloudinit.py", "deploys/templates.py"},
    "pycdlib": {"bootstrap/cloudinit.py"},
    "yaml": {
        "bootstrap/cloudinit.py",
        "bootstrap/gitops",
        "bootstrap/kubernetes/kubeconfig.py",
        "deploys",
        "bootstrap/lab/standin",
    },
    "pyrage": {"bootstrap/secrets.py"},
    "paramiko": {"bootstrap/sshprobe.py", "deploys"},
    "cryptography": {"bootstrap/hostkeys.py", "bootstrap/lab"},
    "aiohttp": {"bootstrap/lab"},
    "multidict": {"bootstrap/lab"},
    "pyinfra": {"deploys"},
    "gevent": {"deploys"},
    "typing_extensions": {"deploys"},
}


@pytest.mark.parametrize("path", modules("bootstrap"), ids=str)
def test_the_arrows_of_bootstrap_point_down(path: Path) -> None:
    own = part(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("bootstrap.")} - {own}

    assert not any(name.split(".")[0] in ("pyinfra", "pyinfra_cli", "deploys") for name in imports(path))
    if own not in ("cli", "__init__"):
        assert used <= ARROWS[own], f"{path} imports {used - ARROWS[own]}"


def test_only_the_command_line_knows_the_lab() -> None:
    knowing = {
        part(p) for p in modules("bootstrap") if any(i.startswith("bootstrap.lab") for i in imports(p))
    }

    assert knowing <= {"cli", "lab"}


@pytest.mark.parametrize("path", modules("bootstrap/cli"), ids=str)
def test_the_lab_is_imported_lazily(path: Path) -> None:
    top = {
        f"{node.module}.{alias.name}"
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert not any(name.startswith("bootstrap.lab") for name in top)


@pytest.mark.parametrize("path", modules("deploys"), ids=str)
def test_the_deploys_know_nothing_of_bootstrap_but_its_secrets(path: Path) -> None:
    ours = {name for name in imports(path) if name.startswith("bootstrap")}

    assert all(name.startswith("bootstrap.secrets.") for name in ours), ours
    assert not any(name.startswith("pyinfra_cli") for name in imports(path))


@pytest.mark.parametrize("path", [*modules("bootstrap"), *modules("deploys")], ids=str)
def test_a_third_party_library_has_one_home(path: Path) -> None:
    for name in {imported.split(".")[0] for imported in imports(path)} - set(sys.stdlib_module_names):
        if name in ("bootstrap", "deploys"):
            continue
        assert any(path.as_posix().startswith(home) for home in HOMES.get(name, set())), (
            f"{path} imports {name}"
        )
