"""The operating system of a machine: first boot, packages, modules, kernel settings, swap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyinfra import logger
from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import longhorn, paths, system
from deploys.facts import questions
from deploys.facts.memo import changing, forget, recall
from deploys.facts.node import Node, NodeState
from deploys.running import Commands, Hopeless, failure, limited, remote, wait
from deploys.wanted import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinfra.api.host import Host

    from deploys.settings import Settings

CLOUD_INIT_SECONDS = 900
# apt's own DPkg::Lock::Timeout covers dpkg's locks, not that of the package lists; apt's message names the holder
APT = r"""export DEBIAN_FRONTEND=noninteractive LC_ALL=C
end=$(($(date +%s) + 300))
apt() {
  while ! said=$(apt-get -q -y "$@" 2>&1); do
    case $said in *'Could not get lock'*) [ "$(date +%s)" -lt $end ] && sleep 3 && continue ;; esac
    printf '%s\n' "$said" >&2
    return 1
  done
}
"""


def state_of(settings: Settings, machine: Host) -> Node:
    """The host as it is, read at most once until something changes; one that could not be read is asked again."""
    state = recall(machine, NodeState, questions=questions.for_host(settings, machine.name))
    if not state.read:
        forget(machine)
    return state


def write(files: list[File], node: Node, machine: Host) -> Commands:
    """Write those of `files` that differ; under --diff all differences are shown before the first write."""
    differing = [file for file in files if file.differs(node)]
    for file in differing:
        file.show(machine, node)
    yield from changing(machine, [file.write() for file in differing])


@operation()
def first_boot(settings: Settings, seconds: float = CLOUD_INIT_SECONDS) -> Commands:
    """Cloud-init is done; a degraded end is shown and goes on, an error is shown and ends the run."""

    def look() -> str | None:
        forget(host)
        ended, fault, _ = _cloud_init(state_of(settings, host))
        if fault:
            raise Hopeless(fault)
        return None if ended else "cloud-init is still at work"

    ended, fault, remarks = _cloud_init(state_of(settings, host))
    if not ended and not fault:
        yield from wait(host, "the first boot", seconds, look, _cloud_init_log(host))
        ended, fault, remarks = _cloud_init(state_of(settings, host))
    if fault:
        yield failure(f"the first boot failed: {fault}", _cloud_init_log(host))
        return
    for remark in remarks:
        host.log(f"cloud-init is done, but degraded: {remark}", log_func=logger.warning)
    host.noop("cloud-init is done" if ended else "cloud-init is at work; the run waits for it")


def _cloud_init(node: Node) -> tuple[bool, str | None, list[str]]:
    """Has it ended (its own status 0 or 2), the error (its status 1), and what it calls recoverable."""
    if not node.cloud_init or any(path in node.exists for path in paths.CLOUD_INIT_DISABLED):
        return True, None, []
    result, status = node.text(paths.CLOUD_INIT_RESULT), node.text(paths.CLOUD_INIT_STATUS)
    stages = json.loads(status or "{}").get("v1", {}) if status else {}
    stages = [(name, stage) for name, stage in stages.items() if isinstance(stage, dict)]
    errors = [f"{name}: {error}" for name, stage in stages for error in stage.get("errors") or []]
    remarks = [
        f"{name}: {level}: {text}"
        for name, stage in stages
        for level, texts in (stage.get("recoverable_errors") or {}).items()
        for text in texts
        if level != "DEPRECATED"
    ]
    return result is not None, "; ".join(errors) or None, remarks


def _cloud_init_log(machine: Host) -> Callable[[], str]:
    script = "grep -hE 'WARNING|ERROR|Traceback' /var/log/cloud-init.log | tail -n 15; tail -n 15 /var/log/cloud-init-output.log"
    return lambda: remote(machine, script)[1]


@operation()
def packages(settings: Settings, names: tuple[str, ...]) -> Commands:
    """Debian packages are there; the package lists are only fetched when one is missing."""
    missing = [name for name in names if name not in state_of(settings, host).packages]
    if not missing:
        host.noop(f"installed: {', '.join(names)}")
        return
    install = f"apt install --no-install-recommends {' '.join(missing)}"
    yield from changing(host, [limited(f"{APT}{install} || {{ apt update && {install}; }}", 900)])


@operation()
def guest_agent(settings: Settings) -> Commands:
    """qemu-guest-agent runs where the machine has a port for it; without one it would only time out."""
    node = state_of(settings, host)
    if paths.GUEST_AGENT_PORT not in node.exists:
        host.noop("this machine has no port for the guest agent")
    elif node.unit("qemu-guest-agent.service").active == "active":
        host.noop("qemu-guest-agent runs")
    else:
        yield from changing(host, [limited("systemctl start qemu-guest-agent.service", 60)])


@operation()
def modules(settings: Settings) -> Commands:
    """The kernel modules are there now and at every boot; built-in ones count."""
    node = state_of(settings, host)
    wanted = File(paths.MODULES_LOAD, system.modules_text(settings))
    names = system.modules(settings)
    missing = [name for name in names if name not in node.modules]
    if not missing and not wanted.differs(node):
        host.noop(f"loaded or built in: {', '.join(names)}")
        return
    yield from write([wanted], node, host)
    yield from changing(host, [StringCommand("modprobe", QuoteString(name)) for name in missing])


@operation()
def sysctls(settings: Settings) -> Commands:
    """Our own drop-in, and the same values in the running kernel."""
    node = state_of(settings, host)
    wanted = File(paths.SYSCTL, system.sysctl_text(settings))
    values = system.sysctl_values(settings)
    if not wanted.differs(node) and not _differing(node, values):
        host.noop("the kernel's settings are as wanted")
        return
    yield from write([wanted], node, host)
    if _differing(state_of(settings, host), values):
        yield from changing(host, [StringCommand("sysctl", "-q", "-p", paths.SYSCTL)])
    if wrong := _differing(state_of(settings, host), values):
        yield failure(f"the kernel did not take {', '.join(wrong)} from {paths.SYSCTL}")


def _differing(node: Node, values: dict[str, str]) -> list[str]:
    return [key for key, value in values.items() if node.sysctls.get(key) != value]


@operation()
def swap_off(settings: Settings) -> Commands:
    """No swap now or after a boot: with it the kubelet's limits and evictions are unreliable."""
    node = state_of(settings, host)
    masked = node.unit("swap.target").file == "masked"
    if not node.swaps and masked:
        host.noop("no swap")
        return
    comment = r"sed -i -E '/^[^#]\S*\s+\S+\s+swap\s/ s/^/# by rzp-infra: /' /etc/fstab"
    yield from changing(host, [limited(f"systemctl -q mask swap.target && swapoff -a && {comment}", 120)])


@operation()
def iscsid(settings: Settings) -> Commands:
    """Who attaches Longhorn's volumes is there now and at every boot."""
    node = state_of(settings, host)
    units = {name: node.unit(name) for name in longhorn.ISCSID}
    ready = [name for name, unit in units.items() if (unit.active, unit.file) == ("active", "enabled")]
    if ready:
        host.noop(f"{' and '.join(ready)}: enabled and active")
        return
    yield from changing(host, [limited(f"systemctl -q enable --now {longhorn.ISCSID[0]}", 60)])
