"""Endpoints of the guest agent. What the guest says is the backend's affair; a backend without guests that talk has none running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrap.lab.guest import GuestError
from bootstrap.lab.pve.fault import Fault
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import TEXT, Rule

if TYPE_CHECKING:
    from bootstrap.lab.guest import Guest
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()
AGENT = "/nodes/{node}/qemu/{vmid}/agent"


def _guest(call: Call, *privileges: str) -> Guest:
    """The guest, or the fault with which Proxmox says that there is none to talk to."""
    wanted = ("VM.Monitor",) if call.lab.pve == "8.4" else (*privileges, "VM.GuestAgent.Unrestricted")
    call.require(f"/vms/{call.vmid}", *wanted)
    machine = call.lab.machines.find(call.node, call.vmid)
    if "agent" not in machine.config:
        raise Fault(500, "No QEMU guest agent configured")
    if not call.lab.backend.running(call.vmid):
        raise Fault(500, f"VM {call.vmid} is not running")
    find = getattr(call.lab.backend, "guest", None)
    guest: Guest | None = find(call.vmid) if find else None
    if guest is None:
        raise Fault(500, "QEMU guest agent is not running")
    return guest


def _failed(error: GuestError) -> Fault:
    """Words outside of ASCII, GLib's quotes for one, break the connection between Proxmox's own processes."""
    text = str(error)
    return Fault(500, f"Agent error: {text}") if text.isascii() else Fault(596, "Broken pipe", bare=True)


@ROUTES.on("POST", f"{AGENT}/ping")
async def ping(call: Call) -> Any:
    _guest(call, "VM.GuestAgent.Audit")
    return {"result": {}}


@ROUTES.on("GET", f"{AGENT}/get-osinfo")
async def osinfo(call: Call) -> Any:
    return {"result": _guest(call, "VM.GuestAgent.Audit").osinfo()}


@ROUTES.on("GET", f"{AGENT}/network-get-interfaces")
async def interfaces(call: Call) -> Any:
    return {"result": _guest(call, "VM.GuestAgent.Audit").interfaces()}


@ROUTES.on("POST", f"{AGENT}/exec", {"command": Rule(kind="array", required=True), "input-data": TEXT})
async def execute(call: Call) -> Any:
    guest = _guest(call)
    try:
        return {"pid": guest.execute(call.words("command"))}
    except GuestError as error:
        raise _failed(error) from error


@ROUTES.on("GET", f"{AGENT}/exec-status", {"pid": Rule(kind="integer", required=True)})
async def execution(call: Call) -> Any:
    guest = _guest(call)
    try:
        return guest.outcome(call.integer("pid"))
    except GuestError as error:
        raise _failed(error) from error
