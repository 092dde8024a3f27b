"""Changes of a machine's configuration: what is written, what takes effect at once and what waits for the next stop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bootstrap.lab.backend import Disk
from bootstrap.lab.pve import drives
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import boot_devices
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.options import DRIVES, OPTIONS, RULES
from bootstrap.lab.pve.qemu import VM, check_bridges, check_privileges, normalise, skips_lock
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, Rule, properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
_ORDERS = {"delete": TEXT, "revert": TEXT, "digest": TEXT, "force": SWITCH, "skiplock": SWITCH}
_ANY = tuple(
    f"VM.Config.{name}"
    for name in ("Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit")
)
_UNUSED = re.compile(r"unused\d+")


class Change:
    """One request to change a machine, parsed."""

    def __init__(self, call: Call) -> None:
        self.values = {key: text for key, text in call.params.items() if key in OPTIONS}
        self.removals = _keys(call, "delete")
        self.reverts = _keys(call, "revert")
        self.digest = call.params.get("digest", "")
        self.force = call.params.get("force") == "1"
        self.skips_lock = skips_lock(call)
        if not (self.values or self.removals or self.reverts):
            raise Fault(500, "no options specified")
        self.removals += [key for key in ("description",) if not self.values.get(key, "x").strip()]
        self.values = {key: text for key, text in self.values.items() if key not in self.removals}

    def text(self) -> str:
        """As the task's log shows it."""
        words = (
            {**self.values}
            | ({"delete": ",".join(self.removals)} if self.removals else {})
            | ({"force": "1"} if self.force else {})
        )
        return " ".join(f"-{key} {text}" for key, text in sorted(words.items()))


def _keys(call: Call, name: str) -> list[str]:
    keys = [key for key in re.split(r"[,;\s]+", call.params.get(name, "")) if key]
    for key in keys:
        if key not in OPTIONS and not _UNUSED.fullmatch(key):
            raise invalid(**{name: f"unknown option '{key}'"})
    return keys


def _accept(call: Call) -> tuple[Machine, Change]:
    """Everything that is checked before anything is changed."""
    change, kept = Change(call), call.lab.machines.all.get(call.vmid)
    config = {**kept.config, **kept.pending} if kept else {}
    touched = [*change.values, *change.removals, *change.reverts]
    cdroms = [
        key
        for key in touched
        if key in DRIVES and is_cdrom(properties(change.values.get(key) or config.get(key, ""), "file"))
    ]
    check_privileges(call, call.vmid, touched, cdroms=cdroms)
    drives.check_drives(call, change.values)
    check_bridges(call, change.values)
    machine = call.lab.machines.find(call.node, call.vmid)
    _check_state(machine, change)
    return machine, change


def _check_state(machine: Machine, change: Change) -> None:
    machine.check_digest(change.digest)
    if not change.skips_lock:
        machine.check_lock()
    if machine.config.get("protection") == "1":
        for slot in change.removals:
            if drives.owned_volume(machine, slot):
                raise Fault(500, f"can't remove drive '{slot}' - protection mode enabled")


@ROUTES.on("PUT", f"{VM}/config", RULES | _ORDERS, allow=("/vms/{vmid}", *_ANY))
async def put(call: Call) -> Any:
    _, change = _accept(call)
    async with call.lab.machines.locked(call.vmid):
        machine = call.lab.machines.find(call.node, call.vmid)
        _check_state(machine, change)
        await _apply(call.lab, machine, change, _silent)


def _silent(_: str) -> None:
    """Where no task keeps a log."""


_DELAY = {"background_delay": Rule(kind="integer", minimum=1, maximum=30)}


@ROUTES.on("POST", f"{VM}/config", RULES | _ORDERS | _DELAY, allow=("/vms/{vmid}", *_ANY))
async def post(call: Call) -> Any:
    _, change = _accept(call)

    async def work(task: Task) -> None:
        async with call.lab.machines.locked(call.vmid, task):
            machine = call.lab.machines.find(call.node, call.vmid)
            _check_state(machine, change)
            task.log(f"update VM {call.vmid}: {change.text()}")
            await _apply(call.lab, machine, change, task.log)

    upid = call.lab.tasks.start(call.node, "qmconfig", str(call.vmid), call.who, work)
    if "background_delay" in call.params:
        task = await call.lab.tasks.wait(upid, call.integer("background_delay"))
        return None if task and task.exitstatus == "OK" else upid
    return upid


async def _apply(lab: Lab, machine: Machine, change: Change, log: Callable[[str], None]) -> None:
    """Writes the change down as pending, then carries out what can be done now."""
    for key in change.reverts:
        machine.pending.pop(key, None)
        machine.removals = [one for one in machine.removals if one != key]
    for key in change.removals:
        machine.pending.pop(key, None)
        if key in machine.config and key not in machine.removals:
            machine.removals.append(key)
    made = {
        key: drives.make(lab, machine, key, change.values[key], log)
        for key in sorted(change.values)
        if key in DRIVES
    }
    for key, text in change.values.items():
        _note(machine, key, made.get(key) or normalise(key, text))
    _reorder(machine, change, made)
    try:
        if lab.backend.running(machine.vmid):
            await _plug(lab, machine, change)
        else:
            _settle(lab, machine, change)
    finally:
        lab.machines.save(machine)


def _note(machine: Machine, key: str, value: str) -> None:
    machine.removals = [one for one in machine.removals if one != key]
    if machine.config.get(key) == value:
        machine.pending.pop(key, None)
    else:
        machine.pending[key] = value


def _reorder(machine: Machine, change: Change, made: dict[str, str]) -> None:
    """Keeps the boot order in step: a new CD drive comes last, a removed drive goes; an order that is asked for must exist."""
    config = machine.next_config()
    order = boot_devices(config.get("boot", ""))
    if "boot" in change.values:
        for device in order:
            if device not in config:
                machine.pending.pop("boot", None)
                raise Fault(500, f"invalid bootorder: device '{device}' does not exist'")
        return
    cdroms = [
        key
        for key, text in made.items()
        if key not in machine.config and "media=cdrom" in text and key not in order
    ]
    wanted = [device for device in order if device not in change.removals] + (cdroms if order else [])
    if wanted != order:
        _note(machine, "boot", f"order={';'.join(wanted)}" if wanted else " ")


def _detach(lab: Lab, machine: Machine, key: str, *, force: bool) -> None:
    """Takes the setting away; the machine's own volume stays as unused, unless it was that already or goes by force."""
    volid = drives.owned_volume(machine, key)
    old = machine.config.pop(key, "")
    if _UNUSED.fullmatch(key):
        lab.storages.free(machine.node, old)
    elif volid and force:
        lab.storages.free(machine.node, volid)
    elif volid:
        number = next(number for number in range(256) if f"unused{number}" not in machine.config)
        machine.config[f"unused{number}"] = volid


def _attach(lab: Lab, machine: Machine, key: str, value: str) -> None:
    old, new = drives.owned_volume(machine, key), value.partition(",")[0]
    if old and old != new:
        _detach(lab, machine, key, force=False)
    for unused in [one for one in machine.config if _UNUSED.fullmatch(one) and machine.config[one] == new]:
        del machine.config[unused]
    machine.config[key] = value


def _settle(lab: Lab, machine: Machine, change: Change) -> None:
    """A stopped machine takes everything at once."""
    for key in machine.removals:
        _detach(lab, machine, key, force=change.force)
    for key, value in machine.pending.items():
        _attach(lab, machine, key, value)
    machine.pending, machine.removals = {}, []


async def _plug(lab: Lab, machine: Machine, change: Change) -> None:
    """A running machine takes what can be plugged; the rest stays pending."""
    wrong: dict[str, str] = {}
    order = boot_devices(machine.config.get("boot", ""))
    for key in list(machine.removals):
        if key in order and key in DRIVES:
            wrong[key] = f"hotplug problem - can't unplug bootdisk '{key}'\n"
        elif _pluggable(machine, key, None):
            if is_cdrom(properties(machine.config.get(key, ""), "file")):
                await lab.backend.eject(machine.vmid)
            _detach(lab, machine, key, force=change.force)
            machine.removals.remove(key)
    for key, value in list(machine.pending.items()):
        if _pluggable(machine, key, value):
            if value.startswith("none") and key in machine.config:
                await lab.backend.eject(machine.vmid)
            _attach(lab, machine, key, value)
            del machine.pending[key]
            if key in DRIVES and not is_cdrom(properties(value, "file")):
                volume = lab.storages.existing(machine.node, properties(value, "file")["file"])
                await lab.backend.plug(machine.vmid, Disk(slot=key, path=volume.file, imported=False))
    if asked := {key: text for key, text in wrong.items() if key in change.removals}:
        raise Fault(400, "Parameter verification failed.", asked)


def _pluggable(machine: Machine, key: str, value: str | None) -> bool:
    """Whether the setting can change under a running machine: cards, empty slots, media, and what concerns Proxmox only."""
    if key in DRIVES and value is not None and key in machine.config:
        return all(is_cdrom(properties(text, "file")) for text in (value, machine.config[key]))
    return key in DRIVES or key.startswith(("net", "unused")) or (key in OPTIONS and OPTIONS[key].live)
