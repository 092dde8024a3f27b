"""Endpoints that switch machines on and off."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from bootstrap.lab.backend import Disk, Hardware, Nic
from bootstrap.lab.pve import mishap, status
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.formats import boot_devices, network_card
from bootstrap.lab.pve.machines import is_cdrom
from bootstrap.lab.pve.plug import settle
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import SWITCH, TEXT, WHOLE, properties

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.machines import Machine
    from bootstrap.lab.pve.routes import Call
    from bootstrap.lab.pve.tasks import Task

ROUTES = Routes()
STATUS = "/nodes/{node}/qemu/{vmid}/status"
_SWITCHES = ("/vms/{vmid}", "VM.PowerMgmt")
_PATIENCE = 60  # seconds that Proxmox gives a guest when nobody says how long


def hardware(lab: Lab, machine: Machine) -> Hardware:
    """The configuration as the thing to be switched on; its volumes must be there."""
    config, drives = machine.config, machine.drives()
    files = {
        slot: lab.storages.existing(machine.node, drive["file"])
        for slot, drive in drives.items()
        if drive["file"] != "none"
    }
    cards = [network_card(config[key]) for key in sorted(config) if re.fullmatch(r"net\d+", key)]
    mediums = [volume.file for slot, volume in files.items() if is_cdrom(drives[slot])]
    return Hardware(
        vmid=machine.vmid,
        name=config.get("name", f"vm{machine.vmid}"),
        cores=status.processors(machine),
        memory_mib=status.memory(machine) >> 20,
        uuid=properties(config["smbios1"]).get("uuid", ""),
        nics=tuple(
            Nic(
                mac=card["macaddr"],
                bridge=card.get("bridge", ""),
                tag=int(card["tag"]) if "tag" in card else None,
            )
            for card in cards
        ),
        disks=tuple(
            Disk(slot=slot, path=volume.file, imported=volume.volid in machine.systems)
            for slot, volume in files.items()
            if not is_cdrom(drives[slot])
        ),
        cdrom=mediums[0] if mediums else None,
        boot=tuple(boot_devices(config.get("boot", ""))),
        boots=not mishap.met("never-boots"),
    )


async def start_machine(lab: Lab, node: str, vmid: int, task: Task, *, skips_lock: bool = False) -> None:
    async with lab.machines.locked(vmid, task):
        machine = lab.machines.find(node, vmid)
        if not skips_lock:
            machine.check_lock()
        if lab.backend.running(vmid):
            raise Fault(500, f"VM {vmid} already running")
        await power_on(lab, machine, task)


async def power_on(lab: Lab, machine: Machine, task: Task) -> None:
    settle(lab, machine)
    described = hardware(lab, machine)
    if described.cores > lab.cpus:
        raise Fault(500, f"MAX {lab.cpus} vcpus allowed per VM on this node")
    for nic in described.nics:
        if nic.bridge and nic.bridge != lab.plan["bridge"]:
            missing = f"bridge '{nic.bridge}' does not exist"
            if lab.pve != "8.4":
                raise Fault(500, missing)
            task.log(missing)
            raise Fault(500, "start failed: QEMU exited with code 1")
    await lab.backend.start(described)
    machine.started, machine.pid = time.time(), task.pid
    lab.machines.save(machine)


def _switched_off(lab: Lab, machine: Machine) -> None:
    settle(lab, machine)
    machine.started, machine.pid = 0.0, 0
    lab.machines.save(machine)


def _task(call: Call, kind: str, work: Callable[[Task], Awaitable[None]]) -> str:
    return call.lab.tasks.start(call.node, kind, str(call.vmid), call.who, work)


def _known(call: Call) -> Machine:
    machine = call.lab.machines.all.get(call.vmid)
    if machine is None or machine.node != call.node:
        raise Fault(500, f"unable to find configuration file for VM {call.vmid} on node '{call.node}'")
    return machine


_SKIP = {"skiplock": SWITCH}
_MIGRATION = "force-cpu machine migratedfrom migration_network migration_type nets-host-mtu stateuri targetstorage".split()
_START = {**_SKIP, "timeout": WHOLE, "with-conntrack-state": SWITCH, **dict.fromkeys(_MIGRATION, TEXT)}
_STOP = {**_SKIP, "timeout": WHOLE, "keepActive": SWITCH, "migratedfrom": TEXT, "overrule-shutdown": SWITCH}
_SHUTDOWN = {**_SKIP, "timeout": WHOLE, "keepActive": SWITCH, "forceStop": SWITCH}


def _root_only(call: Call, *names: str) -> None:
    for name in names:
        if name in call.params and call.params[name] != "0" and not call.who.is_root:
            raise invalid(**{name: "Only root may use this option."})


@ROUTES.on("POST", f"{STATUS}/start", _START, allow=_SWITCHES)
async def start(call: Call) -> Any:
    _root_only(call, "skiplock", *_MIGRATION[1:])
    return launch(call, call.vmid)


def launch(call: Call, vmid: int) -> str:
    """Begins the task that starts the machine."""

    async def work(task: Task) -> None:
        skips = call.params.get("skiplock") == "1"
        await start_machine(call.lab, call.node, vmid, task, skips_lock=skips)

    return call.lab.tasks.start(call.node, "qmstart", str(vmid), call.who, work)


@ROUTES.on("POST", f"{STATUS}/stop", _STOP, allow=_SWITCHES)
async def stop(call: Call) -> Any:
    _root_only(call, "skiplock", "keepActive", "migratedfrom")

    async def work(_: Task) -> None:
        await call.lab.backend.stop(call.vmid)

    return _task(call, "qmstop", lambda task: _switch_off(call, task, work))


@ROUTES.on("POST", f"{STATUS}/shutdown", _SHUTDOWN, allow=_SWITCHES)
async def shutdown(call: Call) -> Any:
    _root_only(call, "skiplock", "keepActive")

    async def work(task: Task) -> None:
        await _power_down(call, _known(call), task)

    return _task(call, "qmshutdown", lambda task: _switch_off(call, task, work))


async def _switch_off(call: Call, task: Task, work: Callable[[Task], Awaitable[None]]) -> None:
    """Does the work on a machine that is on; nothing is wrong with one that is off."""
    _known(call)
    async with call.lab.machines.locked(call.vmid, task):
        machine = _known(call)
        if call.lab.backend.running(call.vmid):
            if call.params.get("skiplock") != "1":
                machine.check_lock()
            await work(task)
            _switched_off(call.lab, machine)


async def _power_down(call: Call, machine: Machine, task: Task) -> None:
    """Asks the guest to go, and pulls the plug when that was asked for and the time is over. There is no guest agent."""
    _note_agent(call, machine, task)
    if await call.lab.backend.shutdown(call.vmid, call.integer("timeout", _PATIENCE)):
        return
    if call.params.get("forceStop") != "1":
        raise Fault(500, "VM quit/powerdown failed - got timeout")
    task.log("VM still running - terminating now with SIGTERM")
    await call.lab.backend.stop(call.vmid)


async def _reboots(call: Call, machine: Machine, task: Task) -> bool:
    _note_agent(call, machine, task)
    return await call.lab.backend.reboot(call.vmid, call.integer("timeout", _PATIENCE))


def _note_agent(call: Call, machine: Machine, task: Task) -> None:
    if status.has_agent(machine):
        what = f"VM {call.vmid} {'qmp' if call.lab.pve == '8.4' else 'qga'} command 'guest-ping' failed - got timeout"
        task.log(f"QEMU Guest Agent is not running - {what}")


def _running(call: Call) -> Machine:
    machine = call.lab.machines.find(call.node, call.vmid)
    if not call.lab.backend.running(call.vmid):
        raise Fault(500, f"VM {call.vmid} not running")
    return machine


@ROUTES.on("POST", f"{STATUS}/reboot", {"timeout": WHOLE}, allow=_SWITCHES)
async def reboot(call: Call) -> Any:
    machine, lab = _running(call), call.lab

    async def work(task: Task) -> None:
        async with lab.machines.locked(call.vmid, task):
            if not lab.backend.running(call.vmid):
                return
            machine.check_lock()
            if machine.pending or machine.removals:
                await _power_down(call, machine, task)
                await power_on(lab, machine, task)
            elif not await _reboots(call, machine, task):
                raise Fault(500, "VM quit/powerdown failed - got timeout")
            machine.started = time.time()
            lab.machines.save(machine)

    return _task(call, "qmreboot", work)


@ROUTES.on("POST", f"{STATUS}/reset", _SKIP, allow=_SWITCHES)
async def reset(call: Call) -> Any:
    _root_only(call, "skiplock")
    machine, lab = _running(call), call.lab

    async def work(task: Task) -> None:
        async with lab.machines.locked(call.vmid, task):
            if call.params.get("skiplock") != "1":
                machine.check_lock()
            await lab.backend.stop(call.vmid)
            await lab.backend.start(hardware(lab, machine))

    return _task(call, "qmreset", work)
