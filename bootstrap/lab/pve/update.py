"""Changes of a machine's configuration: who may, what is written down; what takes effect when is plug.py's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bootstrap.lab.pve import drives
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import valid_keys
from bootstrap.lab.pve.options import OPTIONS, RULES
from bootstrap.lab.pve.plug import UNUSED, plug, settle
from bootstrap.lab.pve.qemu import VM, check_bridges, check_privileges, skips_lock
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule, properties
from bootstrap.lab.pve.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_ORDERS = {
    "delete": TEXT,
    "revert": TEXT,
    "digest": Rule(longest=40),
    "force": Rule(kind="boolean", requires="delete"),
    "skiplock": SWITCH,
}
_ANY = tuple(
    f"VM.Config.{name}"
    for name in ("Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit")
)


class Change:
    """One request to change a machine, parsed. `text` is how the task's log shows it."""

    def __init__(self, call: Call) -> None:
        self.values = {key: text for key, text in call.params.items() if key in OPTIONS}
        self.digest = call.params.get("digest", "")
        self.force = call.params.get("force") == "1"
        self.skips_lock = skips_lock(call)
        if not valid_keys(unquote(self.values.get("sshkeys", ""))):
            raise Fault(500, "SSH public key validation error")
        if not (self.values or "delete" in call.params or "revert" in call.params):
            raise Fault(500, "no options specified")
        self.reverts = self._keys(
            call, "revert", self.values, "you can't use '-{0}' and -revert {0}' at the same time"
        )
        self.removals = self._keys(
            call, "delete", self.values, "you can't use '-{0}' and -delete {0}' at the same time"
        )
        for key in set(self.removals) & set(self.reverts):
            raise invalid(revert=f"you can't use '-delete {key}' and -revert {key}' at the same time")
        shown = {key: text for key, text in call.params.items() if key not in ("digest", "background_delay")}
        shown |= {"cipassword": "<hidden>"} if "cipassword" in shown else {}
        self.text = " ".join(f"-{key} {text}" for key, text in sorted(shown.items()))

    @staticmethod
    def _keys(call: Call, name: str, values: dict[str, str], clash: str) -> list[str]:
        keys = [key for key in re.split(r"[,;\s]+", call.params.get(name, "")) if key]
        for key in keys:
            if key not in OPTIONS and not UNUSED.fullmatch(key):
                raise invalid(**{name: f"unknown option '{key}'"})
            if key in values:
                raise invalid(delete=clash.format(key))
        return keys


def _accept(call: Call) -> Change:
    """Everything that is checked before anything is locked or forked."""
    change = Change(call)
    drives.check_drives(call, change.values)
    for keys in (change.removals, change.values):
        check_privileges(call, call.vmid, keys)
    drives.check_access(call, change.values)
    check_bridges(call, change.values)
    _check_state(call.lab.machines.find(call.node, call.vmid), change)
    return change


def _check_state(machine: Machine, change: Change) -> None:
    machine.check_digest(change.digest)
    if not change.skips_lock:
        machine.check_lock()
    later = machine.next_config() | change.values
    if "memory" in change.values or "balloon" in change.values:
        memory = int(properties(later.get("memory", "512"), "current")["current"])
        if int(later.get("balloon", "0")) > memory:
            raise Fault(500, "balloon value too large (must be smaller than assigned memory)")


@ROUTES.on("PUT", f"{VM}/config", RULES | _ORDERS, allow=("/vms/{vmid}", *_ANY))
async def put(call: Call) -> Any:
    change = _accept(call)
    async with call.lab.machines.locked(call.vmid):
        await _apply(call, change, _silent)


def _silent(_: str) -> None:
    """Where no task keeps a log."""


_DELAY = {"background_delay": Rule(kind="integer", minimum=1, maximum=30)}


@ROUTES.on("POST", f"{VM}/config", RULES | _ORDERS | _DELAY, allow=("/vms/{vmid}", *_ANY))
async def post(call: Call) -> Any:
    change = _accept(call)

    async def work(task: Task) -> None:
        async with call.lab.machines.locked(call.vmid, task):
            await _apply(call, change, task.log)

    upid = call.lab.tasks.start(call.node, "qmconfig", str(call.vmid), call.who, work)
    if "background_delay" in call.params:
        task = await call.lab.tasks.wait(upid, call.integer("background_delay"))
        if task and task.exitstatus != "OK":
            raise Fault(500, f"failed to update VM {call.vmid}: {task.exitstatus}")
        return None if task else upid
    return upid


async def _apply(call: Call, change: Change, log: Callable[[str], None]) -> None:
    """Writes the change down as pending, then carries out what can be done now."""
    lab, machine = call.lab, call.lab.machines.find(call.node, call.vmid)
    _check_state(machine, change)
    log(f"update VM {call.vmid}: {change.text}")
    removals, values = list(change.removals), dict(change.values)
    for key in change.reverts:
        if key in machine.config:
            values[key] = machine.config[key]
        elif key in machine.pending:
            removals.append(key)
    writing = Writing(call, machine, log)
    try:
        for key in removals:
            with machine.unchanged_on_fault():
                writing.remove(key, force=change.force)
        for key, text in values.items():
            with machine.unchanged_on_fault():
                writing.write(key, text, values, removals, raw=key not in change.reverts)
        machine.clean_pending()
        if not lab.backend.running(machine.vmid):
            settle(lab, machine)
        elif wrong := await plug(lab, machine, writing.touched):
            raise Fault(400, "Parameter verification failed.", wrong)
    finally:
        lab.machines.save(machine)
