"""The exceptions of bootstrap, one small tree.

RzpError                 every message is one line (or several): the place and the fix
├── InvalidEnvironment   the configuration does not hold together
├── ImpossiblePlan       the plan cannot be carried out as things stand on Proxmox
├── ProxmoxError         Proxmox refused, failed or was not reached
│   ├── TaskFailed       a task ended with an error; carries the task's log
│   └── UnknownOutcome   a write got no answer: it may or may not have happened
├── KubernetesError      the Kubernetes API refused or was not reached
├── SecretsError         a secret or an identity is missing or cannot be read
├── WaitTimeout          something did not happen in time; carries the evidence
└── LabError             the embedded lab could not do it
"""

from __future__ import annotations


class RzpError(Exception):
    """The root: anything that the operator can act upon."""


class InvalidEnvironment(RzpError):
    """One line per fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ImpossiblePlan(RzpError):
    """A VMID is taken, an address answers already, a storage or bridge is missing."""


class ProxmoxError(RzpError):
    """Proxmox's own words, with the call that they answer. `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class TaskFailed(ProxmoxError):
    """A Proxmox task ended with something else than OK or WARNINGS."""

    def __init__(self, message: str, *, upid: str, log: list[str]) -> None:
        super().__init__(message)
        self.upid = upid
        self.log = log


class UnknownOutcome(ProxmoxError):
    """The connection broke, or the proxy gave up (595, 596), while a write was under way."""


class KubernetesError(RzpError):
    """The cluster's API, or the kubeconfig that leads there. `status` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class SecretsError(RzpError):
    """The secrets file, a value in it, or the identity that opens it."""


class WaitTimeout(RzpError):
    """A bounded wait ended without the evidence that it waited for."""


class LabError(RzpError):
    """The lab: a tool, a port, a namespace or a machine."""
