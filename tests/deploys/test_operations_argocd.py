"""The operations that install Argo CD and hand the repository over."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import PyinfraCommand

from bootstrap.secrets import variable
from deploys import handover
from deploys.facts.argocd import ArgoCD, ArgoCDState
from deploys.operations import argocd
from deploys.settings import Settings

Machines = Any
Carry = Callable[..., list[PyinfraCommand]]
Texts = Callable[[list[PyinfraCommand]], str]


def test_argocd_is_installed_by_the_server_side_under_our_own_manager_and_marked_last(
    machines: Machines, settings: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    up = machine.answers[ArgoCDState]()
    machine.answers[ArgoCDState] = lambda: ArgoCD({}, up.workloads)
    commands = carry_out(machine, argocd.installed, settings=settings)
    text = [str(command) for command in commands]
    forced = "--server-side --force-conflicts --field-manager"
    ours = [index for index, line in enumerate(text) if f"{forced}=rzp-infra -n argocd" in line]
    assert ours == [0, 4, 6]
    parts = [f"{forced}=rzp-infra-configuration -n argocd" in line for line in text[1:3]]
    assert parts == [True, True], (
        "under rzp-infra the rest of argocd-cm would go; and before controllers start"
    )
    assert "sha256sum" in text[3]
    assert "kubectl wait --for=condition=Established" in text[5]
    sent = [str(command.connector_arguments.get("_stdin")) for command in commands]
    assert "resource.customizations.health.argoproj.io_Application" in json.loads(sent[1])["data"]
    assert "controller.resource.health.persist" in json.loads(sent[2])["data"]
    assert settings.argocd.sha256 in sent[6]
    assert settings.argocd.sha256 not in sent[0]


def test_other_health_scripts_are_a_reason_to_apply_them(
    machines: Machines, settings: Settings, carry_out: Carry, tmp_path: Path, checkout: Path, monkeypatch: Any
) -> None:
    for name in ("core", "clusters"):
        shutil.copytree(checkout / "kubernetes" / name, tmp_path / "kubernetes" / name)
    script = tmp_path / handover.CONFIGURATION[0]
    script.write_text(f"{script.read_text()}    -- changed\n")
    seen = machines["s1"].answers[ArgoCDState]()
    machines["s1"].answers[ArgoCDState] = lambda: seen
    assert carry_out(machines["s1"], argocd.installed, settings=settings) == []
    monkeypatch.chdir(tmp_path)
    assert len(carry_out(machines["s1"], argocd.installed, settings=settings)) == 7


def test_controllers_that_do_not_come_up_are_named(
    fresh: Machines, settings: Settings, carry_out: Carry
) -> None:
    carry_out(fresh["s1"], argocd.installed, settings=settings)
    assert "Argo CD's controllers: not within 0 s; absent: statefulset/argocd" in fresh["s1"].logs[-1]


CANARIES = {
    name: f"canary-{name}"
    for name in ("gitops.username", "gitops.password", "infisical.client-id", "infisical.client-secret")
}


@pytest.fixture
def seeded(rzp: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An environment with a private repository and a secrets operator."""
    for name, value in (CANARIES | {"k3s.token": "a-token-of-the-cluster"}).items():
        monkeypatch.setenv(variable(name), value)
    rzp["gitops"] |= {"credential": True, "infisical": True}
    return Settings.parse(rzp)


def test_a_credential_goes_through_stdin_only(
    machines: Machines, seeded: Settings, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s1"]
    commands = carry_out(machine, argocd.repository_credential, settings=seeded)
    assert "canary" not in texts(commands) + repr(commands) + "".join(machine.logs)
    applied = json.loads(str(commands[0].connector_arguments["_stdin"]))
    assert applied["stringData"]["url"] == seeded.gitops.repository
    assert applied["stringData"]["password"] == "canary-gitops.password"
    assert applied["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "repository"}


def test_the_secrets_operators_credential_comes_into_a_restricted_namespace_through_stdin_only(
    machines: Machines, seeded: Settings, carry_out: Carry, texts: Texts
) -> None:
    machine = machines["s1"]
    commands = carry_out(machine, argocd.operator_secret, settings=seeded)
    assert "canary" not in texts(commands) + repr(commands) + "".join(machine.logs)
    space, secret = (json.loads(str(command.connector_arguments["_stdin"])) for command in commands)
    assert space["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == (
        "infisical-credentials",
        "external-secrets",
    )
    assert secret["stringData"] == {
        "clientId": "canary-infisical.client-id",
        "clientSecret": "canary-infisical.client-secret",
    }
    assert all("-n external-secrets" in text for text in map(str, commands))


def test_a_namespace_of_the_secrets_operator_that_is_there_is_left_to_argo_cd(
    machines: Machines, seeded: Settings, carry_out: Carry
) -> None:
    machine, space = machines["s1"], handover.operator_namespace()
    seen = machine.answers[ArgoCDState]()
    machine.answers[ArgoCDState] = lambda: dataclasses.replace(seen, applied={**seen.applied, space.name: ""})
    (command,) = carry_out(machine, argocd.operator_secret, settings=seeded)
    assert "infisical-credentials" in str(command.connector_arguments["_stdin"])


@pytest.mark.parametrize("make", [handover.credential, handover.operator_secret])
def test_the_mark_of_a_secret_tells_nothing_to_whom_the_token_is_unknown(
    make: Any, seeded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who sees the mark and guesses the whole Secret cannot find out that the guess is right."""
    first, guess = make(seeded), hashlib.sha256(json.dumps(make(seeded).body, sort_keys=True).encode())
    assert guess.hexdigest() not in first.text
    monkeypatch.setenv("RZP_SECRET_K3S_TOKEN", "the-token-of-another-cluster")
    assert make(seeded).body == first.body
    assert make(seeded).mark != first.mark


def test_what_is_there_as_wanted_is_not_applied_again(
    machines: Machines, seeded: Settings, carry_out: Carry
) -> None:
    machine = machines["s1"]
    wanted = [item for make in (handover.credential, handover.operator_secret) if (item := make(seeded))]
    seen = machine.answers[ArgoCDState]()
    applied = {**seen.applied, **{item.name: item.mark for item in wanted}}
    machine.answers[ArgoCDState] = lambda: dataclasses.replace(seen, applied=applied)
    for operation in (argocd.repository_credential, argocd.operator_secret):
        assert carry_out(machine, operation, settings=seeded) == []


def test_the_root_application_is_handed_over_once(
    machines: Machines, rzp: dict[str, Any], carry_out: Carry
) -> None:
    rzp["gitops"]["revision"] = "next"
    (command,) = carry_out(machines["s1"], argocd.handed_over, settings=Settings.parse(rzp))
    applied = json.loads(str(command.connector_arguments["_stdin"]))
    assert applied["spec"]["source"]["targetRevision"] == "next"
    assert applied["metadata"]["annotations"]["rzp.io/content"]
    assert applied["metadata"]["annotations"]["rzp.io/followed"] == "", "what follows is waited for anew"


def test_a_revision_that_is_not_there_ends_the_run_before_the_hand_over(
    fresh: Machines, rzp: dict[str, Any], carry_out: Carry, tmp_path: Path
) -> None:
    rzp["gitops"]["repository"] = (tmp_path / "nothing").as_uri()
    carry_out(fresh["s1"], argocd.revision_exists, settings=Settings.parse(rzp))
    assert "cannot be read" in fresh["s1"].logs[-1]
