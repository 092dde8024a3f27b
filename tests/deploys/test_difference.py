"""What `--diff` shows of the objects that would be applied, and that no Secret is sent for it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import PyinfraCommand, StringCommand

from bootstrap.secrets import variable
from deploys import difference, handover, paths
from deploys.facts.argocd import ArgoCDState
from deploys.operations import argocd
from deploys.settings import Settings

Carry = Callable[..., list[PyinfraCommand]]
CANARY = "canary-5d1f0c9e"
SECRETS = (
    "gitops.username",
    "gitops.password",
    "infisical.client-id",
    "infisical.client-secret",
    "k3s.token",
)
OPERATIONS = (argocd.installed, argocd.repository_credential, argocd.operator_secret, argocd.handed_over)


@pytest.fixture
def seeded(rzp: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Everything is to be applied, Secrets among it, and the manifest, in which there are Secrets too."""
    for name in SECRETS:
        monkeypatch.setenv(variable(name), f"{CANARY}-{name}")
    manifest = tmp_path / "install.yaml"
    manifest.write_text(f"kind: Secret\nstringData: {{x: {CANARY}}}\n")
    monkeypatch.setenv("RZP_ARGOCD_MANIFEST", str(manifest))
    rzp["gitops"] |= {"credential": True, "infisical": True, "revision": "next"}
    rzp["argocd"]["sha256"] = "6" * 64
    return Settings.parse(rzp)


@pytest.mark.parametrize(
    ("executing", "planned"), [(False, True), (True, False)], ids=["in the plan", "without one, under -y"]
)
def test_namespaces_health_scripts_and_root_are_compared_and_no_secret_is_sent(
    machines: Any, seeded: Settings, carry_out: Carry, executing: bool, planned: bool
) -> None:
    machine = machines["s1"]
    run = machine.state
    run.DIFF, run.is_executing, run.planned = True, executing, planned
    machine.replies["kubectl diff"] = ["-  old", "+  new", "1"]
    for operation in OPERATIONS:
        carry_out(machine, operation, settings=seeded)
    compared = [text for text, sent in zip(machine.shell, machine.sent, strict=True) if sent]
    assert len(compared) == 5
    assert all(
        "kubectl diff --server-side --force-conflicts --field-manager=rzp-infra" in c for c in compared
    )
    sent = "\n".join(machine.sent)
    for words in (
        "rzp.io/argocd-install",
        "health.argoproj.io_Application",
        "controller.resource.health.persist",
        '"root"',
        "external-secrets",
    ):
        assert words in sent
    assert CANARY not in sent + "".join(machine.shell) + "".join(machine.logs)
    told = [line.strip() for line in machine.logs]
    assert told.count("+  new") == 5
    assert "argocd/secret/rzp-repository: a Secret, not shown" in told
    assert "external-secrets/secret/infisical-credentials: a Secret, not shown" in told


@pytest.mark.parametrize(
    ("diff", "executing"), [(False, False), (True, True)], ids=["unasked", "after the plan"]
)
def test_nothing_is_compared(
    machines: Any, seeded: Settings, carry_out: Carry, diff: bool, executing: bool
) -> None:
    machine = machines["s1"]
    machine.state.DIFF, machine.state.is_executing = diff, executing
    for operation in OPERATIONS:
        carry_out(machine, operation, settings=seeded)
    assert not any("kubectl diff" in command for command in machine.shell)


def test_before_argo_cd_is_there_what_is_new_is_only_named(
    fresh: Any, seeded: Settings, carry_out: Carry
) -> None:
    machine = fresh["s1"]
    machine.state.DIFF, machine.state.is_executing = True, False
    for operation in OPERATIONS:
        carry_out(machine, operation, settings=seeded)
    assert machine.shell == []
    assert "new: argocd/namespace/argocd, argocd/configmap/argocd-cm" in machine.logs[0]
    assert CANARY not in "".join(machine.logs)


KUBECTL = {
    "no difference": ("exit 0", ["argocd/namespace/argocd: no difference"]),
    "differences": (
        "echo '--- LIVE'; echo '+ new'; exit 1",
        ["argocd/namespace/argocd:", "--- LIVE", "+ new"],
    ),
    "no program diff": (
        "echo 'error: failed to run \"diff\": executable file not found in $PATH' >&2; exit 2",
        [
            'argocd/namespace/argocd cannot be compared: error: failed to run "diff": executable file not found in $PATH'
        ],
    ),
    "an old API": (
        "echo 'error: unknown flag: --server-side' >&2; exit 2",
        ["argocd/namespace/argocd cannot be compared: error: unknown flag: --server-side"],
    ),
}


@pytest.mark.parametrize(("script", "told"), KUBECTL.values(), ids=KUBECTL)
def test_what_kubectl_says_is_shown_and_an_error_is_a_note(
    machines: Any, tmp_path: Path, script: str, told: list[str]
) -> None:
    """The real script in a real shell; kubectl is a double that ends as kubectl does."""
    kubectl = tmp_path / "k3s"
    kubectl.write_text(f"#!/bin/sh\n{script}\n")
    kubectl.chmod(0o755)

    def run(command: StringCommand, **arguments: object) -> tuple[bool, Any]:
        text = command.get_raw_value().replace(paths.K3S_BINARY, str(kubectl))
        done = subprocess.run(
            ["sh", "-c", text],
            input=str(arguments["_stdin"]),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=os.environ,
        )
        return done.returncode == 0, type(
            "Output", (), {"stdout": done.stdout.rstrip("\n"), "output": done.stderr}
        )()

    machine = dataclasses.replace(machines["s1"])
    machine.run_shell_command = run
    difference.show(machine, [handover.namespace()])
    assert [line.strip() for line in machine.logs] == told


def test_only_what_differs_is_compared(machines: Any, settings: Settings, carry_out: Carry) -> None:
    machine = machines["s1"]
    machine.state.DIFF, machine.state.is_executing = True, False
    for operation in OPERATIONS:
        assert carry_out(machine, operation, settings=settings) == []
    assert machine.asked == [ArgoCDState.__name__]
    assert machine.shell == []
