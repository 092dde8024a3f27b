"""What every verb begins with: the environment, its checkout, its secrets and the road to Proxmox."""

from __future__ import annotations

import json
import os
import secrets as random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from bootstrap import config, gitops, inventory, project
from bootstrap.apply.event import Event, Report
from bootstrap.cluster import K3sCluster
from bootstrap.config import demo
from bootstrap.config.base import Environment
from bootstrap.errors import InvalidEnvironment, LabError, SecretsError
from bootstrap.generated import File
from bootstrap.gitops import Workloads
from bootstrap.journal import Journal
from bootstrap.proxmox.session import Client, connect
from bootstrap.secrets import Secret, Secrets

_GENERATED = {"k3s.token": "the K3s server token", "ssh.host-key-seed": "the seed of the SSH host keys"}


@dataclass
class Session:
    """One environment in one checkout."""

    environment: Environment
    project: Path
    journal: Journal | None = None

    @classmethod
    def open(cls, name: str, *, ready: bool = True) -> Session:
        """Load and check; `ready` refuses documentation values and unknown pins."""
        environment = config.load(name)
        if ready and (faults := config.unready(environment)):
            raise InvalidEnvironment(faults)
        session = cls(environment, find_project())
        if ready and environment.source == "lab":
            session.meet_lab()
        return session

    def meet_lab(self) -> None:
        """The running lab has to be the demo's, and its token known in this checkout."""
        endpoint = running_lab()
        if endpoint.get("environment") != self.environment.name:
            raise LabError(
                f"a lab is running for {endpoint.get('environment')}; stop it first: rzp-bootstrap lab stop"
            )
        held = self.secrets.get("proxmox.token")
        if "RZP_PROXMOX_TOKEN" not in os.environ and (held is None or held.reveal() != endpoint["token"]):
            raise LabError("this checkout does not know the running lab yet; type: rzp-bootstrap lab start")

    @cached_property
    def cluster(self) -> K3sCluster:
        return K3sCluster(self.environment)

    @cached_property
    def workloads(self) -> Workloads:
        """What the cluster runs, by the tree; the demo's as it is committed, without what a running lab says."""
        lab = self.environment.source == "lab"
        return Workloads.of(demo.build({}) if lab else self.environment, self.project)

    def generated(self, seed: Secret | None) -> list[File]:
        """Every file that follows from the environment; known_hosts only with the host-key seed."""
        committed = gitops.files(self.workloads, self.project)
        if self.lacks_lab:
            return committed
        return [*inventory.files(self.cluster, self.workloads, self.project, seed), *committed]

    @property
    def lacks_lab(self) -> bool:
        """The demo while no lab runs: its inventory is not known, what Git holds of it is."""
        return self.environment.source == "lab" and bool(config.unpinned(self.environment))

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets.open(self.environment.name, self.project)

    def client(self) -> Client:
        """A new client; nothing is sent yet."""
        watch = self.journal.write if self.journal else None
        return connect(self.environment.proxmox, self.secrets, self.project, watch)

    def told(self, report: Report) -> Report:
        """`report`, and a line in the journal."""
        journal = self.journal
        if journal is None:
            return report

        def both(event: Event) -> None:
            journal.write(
                "step", subject=event.subject, state=event.state, done=event.done, failed=event.failed
            )
            report(event)

        return both

    def host_key_seed(self) -> Secret:
        return self.secrets.require("ssh.host-key-seed")

    def make_secrets(self, *, machines: bool) -> list[str]:
        """Generate what the first `up` needs; returns a sentence for each.

        `machines`: the environment has some already. They were made with secrets that cannot be made again.
        """
        missing = [name for name in _GENERATED if self.secrets.get(name) is None]
        if missing and machines:
            raise SecretsError(
                f"{self.environment.name}: machines exist, and {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not in {self.secrets.file};"
                f" {'type: rzp-bootstrap lab reset' if self.environment.source == 'lab' else 'get that file back (git pull)'},"
                " or destroy the environment first"
            )
        if missing:
            # Hex: no colon, no K10 prefix and not the bootstrap format that K3s chokes on.
            self.secrets.set({name: random.token_hex(32) for name in missing})
        place = self.secrets.file.relative_to(self.project)
        advice = "; commit that file" if self.environment.source == "operator" else ""
        return [f"made {_GENERATED[name]} ({name} in {place}){advice}" for name in missing]


def running_lab() -> dict[str, Any]:
    """What the running lab says of itself."""
    try:
        return dict(json.loads((demo.lab_folder() / "endpoint.json").read_text()))
    except (OSError, ValueError):
        raise LabError("no lab is running; type: rzp-bootstrap lab start") from None


def find_project() -> Path:
    return project.find((click.get_current_context().find_root().obj or {}).get("project"))
