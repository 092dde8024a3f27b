"""What the lab hands out."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml

from bootstrap.lab import standin

SOURCES = Path(standin.__file__).parent / "k3s"


def test_the_pins_name_stand_ins_and_fit_the_files(tmp_path: Path) -> None:
    pins = standin.publish(tmp_path, "http://10.77.0.1:8080/")

    for key, name in (("k3s", "k3s"), ("argocd", "argocd-install.yaml")):
        assert "standin" in pins[key]["version"]
        assert pins[key]["url"] == f"http://10.77.0.1:8080/{name}"
        assert pins[key]["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_the_executable_has_the_same_bytes_every_time() -> None:
    assert standin.executable() == standin.executable()
    assert standin.executable("v1.0.0+k3s1-standin") != standin.executable()


def test_it_runs_as_a_file_of_its_own_and_says_what_it_is(tmp_path: Path) -> None:
    standin.publish(tmp_path, "http://x")
    command = [sys.executable, "-I", str(tmp_path / "k3s"), "--version"]
    first, second = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert first.startswith(f"k3s version {standin.K3S_VERSION} (")
    assert second.startswith("go version ")
    assert os.access(tmp_path / "k3s", os.X_OK)


def test_kubectl_before_the_first_start_is_refused(tmp_path: Path) -> None:
    standin.publish(tmp_path, "http://x")
    environment = {"PATH": os.environ["PATH"], "RZP_STANDIN_ROOT": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "k3s"), "kubectl", "get", "nodes"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "The connection to the server localhost:8080 was refused" in done.stderr


def test_inside_a_machine_it_needs_python_and_yaml_only() -> None:
    used: set[str] = set()
    for path in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                used.add(str(node.module).partition(".")[0])

    assert used - set(sys.stdlib_module_names) == {"yaml"}


def test_the_manifest_says_that_it_is_a_stand_in_and_has_the_names_that_a_deploy_waits_for() -> None:
    text = (SOURCES.parent / "argocd.yaml").read_text()
    objects = {f"{body['kind']}/{body['metadata']['name']}" for body in yaml.safe_load_all(text)}

    assert "STAND-IN" in text.splitlines()[0]
    assert {
        "CustomResourceDefinition/applications.argoproj.io",
        "StatefulSet/argocd-application-controller",
        "Deployment/argocd-server",
        "ConfigMap/argocd-cm",
    } <= objects
    assert not any(name.startswith("Namespace/") for name in objects)
