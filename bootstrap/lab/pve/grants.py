"""Endpoints of the roles and of the access lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.access import modifiers
from bootstrap.lab.pve.accounts import words
from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import NEEDED, SWITCH, TEXT

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()
_MODIFY = ("/access", "Sys.Modify")
_NAME = r"[A-Za-z0-9._-]+"
_PATHS = rf"""/|/access(/(groups|realm)(/{_NAME})?)?|/nodes(/{_NAME})?|/pool(/{_NAME}){{0,3}}|/storage(/{_NAME})?
|/vms(/[1-9][0-9]{{2,}})?|/mapping(/{_NAME}){{0,2}}|/sdn|/sdn/(controllers|dns|fabrics|ipams|prefix-lists|route-maps)(/{_NAME})?
|/sdn/zones(/{_NAME}(/{_NAME}(/[1-9][0-9]{{0,3}})?)?)?""".replace("\n", "")


@ROUTES.on("GET", "/access/roles")
async def roles(call: Call) -> Any:
    access = call.lab.access
    own = [{"roleid": name, "privs": ",".join(held)} for name, held in access.roles.items()]
    ready = [{"roleid": name, "privs": ",".join(held), "special": 1} for name, held in access.special.items()]
    return [*({**one, "special": 0} for one in own), *ready]


@ROUTES.on("GET", "/access/roles/{roleid}")
async def role(call: Call) -> Any:
    return dict.fromkeys(_held(call, call.path["roleid"], ""), 1)


def _held(call: Call, role: str, where: str) -> list[str]:
    access = call.lab.access
    if role not in access.roles and role not in access.special:
        raise Fault(500, f"{where}role '{role}' does not exist")
    return access.role(role)


def _privileges(call: Call) -> list[str]:
    wanted = words(call.params.get("privs", ""))
    for name in wanted:
        if name not in call.lab.access.known:
            raise invalid(privs=f"invalid format - invalid privilege '{name}'\n")
    return wanted


@ROUTES.on("POST", "/access/roles", {"roleid": NEEDED, "privs": TEXT}, allow=_MODIFY)
async def create_role(call: Call) -> Any:
    access, role, wanted = call.lab.access, call.params["roleid"], _privileges(call)
    if role.lower().startswith("pve"):
        raise invalid(roleid="cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
    if role in access.roles or role in access.special:
        raise Fault(500, f"create role failed: role '{role}' already exists")
    access.put_role(role, wanted)


@ROUTES.on("PUT", "/access/roles/{roleid}", {"privs": TEXT, "append": SWITCH}, allow=_MODIFY)
async def update_role(call: Call) -> Any:
    access, role, wanted = call.lab.access, call.path["roleid"], _privileges(call)
    if role in access.special:
        raise Fault(500, f"auto-generated role '{role}' cannot be modified")
    held = _held(call, role, "update role failed: ")
    access.put_role(role, [*(held if call.params.get("append") == "1" else []), *wanted])


@ROUTES.on("DELETE", "/access/roles/{roleid}", allow=_MODIFY)
async def delete_role(call: Call) -> Any:
    role = call.path["roleid"]
    if role in call.lab.access.special:
        raise Fault(500, f"auto-generated role '{role}' cannot be deleted")
    _held(call, role, "delete role failed: ")
    call.lab.access.drop_role(role)


@ROUTES.on("GET", "/access/acl")
async def acl(call: Call) -> Any:
    audits = call.may("/access", "Sys.Audit")
    return [
        one for one in call.lab.access.acl.values() if audits or call.may(one["path"], "Permissions.Modify")
    ]


_ACL = {
    **dict.fromkeys(("path", "roles"), NEEDED),
    **dict.fromkeys(("users", "tokens", "groups"), TEXT),
    **dict.fromkeys(("propagate", "delete"), SWITCH),
}


@ROUTES.on("PUT", "/access/acl", _ACL)
async def update_acl(call: Call) -> Any:
    access, wants = call.lab.access, call.params
    path = re.sub("/+", "/", f"/{wants['path']}").rstrip("/") or "/"
    call.require(path, *modifiers(path))
    whose = [*words(wants.get("users", "")), *words(wants.get("tokens", ""))]
    if not whose and "groups" not in wants:
        need = "either 'users', 'groups' or 'tokens' is required."
        raise invalid(**dict.fromkeys(("users", "groups", "tokens"), need))
    if wants.get("delete") != "1" and not re.fullmatch(_PATHS, path):
        raise invalid(path=f"invalid ACL path '{wants['path']}'")
    for role in words(wants["roles"]):
        held = _held(call, role, "ACL update failed: ")
        if not call.may(path, "Permissions.Modify") and not all(call.may(path, one) for one in held):
            verb = "remove" if wants.get("delete") == "1" else "add"
            need = "requires 'Permissions.Modify' or superset of privileges."
            raise invalid(role=f"Cannot {verb} role '{role}' - {need}")
        for group in words(wants.get("groups", "")):
            raise Fault(500, f"ACL update failed: group '{group}' does not exist")
        for who in whose:
            if who not in access.users and who not in access.tokens:
                raise Fault(500, f"ACL update failed: {_unknown(access.users, who)}")
            if wants.get("delete") == "1":
                access.revoke(path, who, role)
            else:
                access.grant(path, who, role, propagate=wants.get("propagate") != "0")


def _unknown(users: dict[str, Any], who: str) -> str:
    user, mark, token = who.partition("!")
    if mark:
        return f"no such token '{token}' for user '{user}'" if user in users else f"no such user ('{user}')"
    return f"user '{who}' does not exist"
