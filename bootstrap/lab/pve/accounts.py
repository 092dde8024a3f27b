"""Endpoints under /access: login, users, tokens, roles, access lists."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault, invalid
from bootstrap.lab.pve.routes import Routes
from bootstrap.lab.pve.schema import NEEDED, SWITCH, TEXT, WHOLE, Rule

if TYPE_CHECKING:
    from bootstrap.lab.pve.routes import Call

ROUTES = Routes()
_AREAS = {
    "access": "/access",
    "dc": "/",
    "nodes": "/nodes",
    "sdn": "/sdn",
    "storage": "/storage",
    "vms": "/vms",
}
_USER = {
    "comment": TEXT,
    "email": TEXT,
    "enable": SWITCH,
    "expire": WHOLE,
    "firstname": TEXT,
    "lastname": TEXT,
    "groups": TEXT,
}
_LOGIN = {
    "username": NEEDED,
    "password": NEEDED,
    "realm": TEXT,
    "new-format": SWITCH,
    "otp": TEXT,
    "tfa-challenge": TEXT,
    "path": TEXT,
    "privs": TEXT,
}


@ROUTES.on("POST", "/access/ticket", _LOGIN, anonymous=True)
async def login(call: Call) -> Any:
    access = call.lab.access
    name, realm = call.params["username"], call.params.get("realm")
    user = name if "@" in name else f"{name}@{realm or 'pam'}"
    call.lab.login.check(user, call.params["password"])
    ticket, csrf = call.lab.login.ticket(user)
    who = type(call.who)(user=user)
    caps = {area: dict(access.privileges(who, path)) for area, path in _AREAS.items()}
    return {"username": user, "ticket": ticket, "CSRFPreventionToken": csrf, "cap": caps}


@ROUTES.on("GET", "/access/permissions", {"path": TEXT, "userid": TEXT})
async def permissions(call: Call) -> Any:
    access = call.lab.access
    asked = call.params.get("userid", call.who.name)
    if asked != call.who.name:
        call.require("/access", "Sys.Audit")
    user, _, token = asked.partition("!")
    who = type(call.who)(user=user, token=token)
    if "path" in call.params:
        path = call.params["path"]
        return {path: dict(access.privileges(who, path))}
    paths = {*_AREAS.values(), "/pool", *(entry["path"] for entry in access.acl.values())}
    return {path: held for path in sorted(paths) if (held := dict(access.privileges(who, path)))}


@ROUTES.on(
    "POST",
    "/access/users",
    {**_USER, "userid": NEEDED, "password": Rule(pattern=".{5,64}")},
    allow=("/access", "User.Modify"),
)
async def create_user(call: Call) -> Any:
    access, values = call.lab.access, dict(call.params)
    user = values.pop("userid")
    if not re.fullmatch(r"[^\s:/]+@\w+", user):
        raise invalid(userid="invalid format - value does not look like a valid user name\n")
    if user in access.users:
        raise Fault(500, f"create user failed: user '{user}' already exists")
    access.put_user(user, {"enable": 1, "expire": 0, "realm-type": user.partition("@")[2], **values})


@ROUTES.on("PUT", "/access/users/{userid}", {**_USER, "append": SWITCH}, allow=("/access", "User.Modify"))
async def update_user(call: Call) -> Any:
    user = call.path["userid"]
    entry = _user(call, user)
    numbers = {key: int(value) for key, value in call.params.items() if key in ("enable", "expire")}
    call.lab.access.put_user(user, {**entry, **call.params, **numbers})


def _user(call: Call, user: str) -> dict[str, Any]:
    if user not in call.lab.access.users:
        raise Fault(500, f"no such user ('{user}')")
    return call.lab.access.users[user]


_TOKEN = {"comment": TEXT, "expire": WHOLE, "privsep": SWITCH}


def _may_keep_tokens(call: Call) -> str:
    user = call.path["userid"]
    if call.who.user != user:
        call.require("/access", "User.Modify")
    _user(call, user)
    return f"{user}!{call.path.get('tokenid', '')}"


def _token(call: Call, name: str) -> dict[str, Any]:
    if name not in call.lab.access.tokens:
        raise Fault(500, f"no such token '{call.path['tokenid']}' for user '{call.path['userid']}'")
    return call.lab.access.tokens[name]


def _public(token: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in token.items() if key != "value"}


@ROUTES.on("GET", "/access/users/{userid}/token/{tokenid}")
async def token(call: Call) -> Any:
    name = _may_keep_tokens(call)
    return _public(_token(call, name))


@ROUTES.on("POST", "/access/users/{userid}/token/{tokenid}", _TOKEN)
async def create_token(call: Call) -> Any:
    name = _may_keep_tokens(call)
    if name in call.lab.access.tokens:
        raise invalid(tokenid="Token already exists.")
    info = {"privsep": "1", **call.params}
    entry = {"expire": 0, **info, "privsep": int(info["privsep"]), "value": str(uuid.uuid4())}
    call.lab.access.put_token(name, entry)
    return {"full-tokenid": name, "info": info, "value": entry["value"]}


@ROUTES.on("PUT", "/access/users/{userid}/token/{tokenid}", _TOKEN)
async def update_token(call: Call) -> Any:
    name = _may_keep_tokens(call)
    entry = {**_token(call, name), **call.params}
    call.lab.access.put_token(
        name, {**entry, "privsep": int(entry["privsep"]), "expire": int(entry["expire"])}
    )
    entry["privsep"] = int(entry["privsep"])
    return _public(entry)


@ROUTES.on("DELETE", "/access/users/{userid}/token/{tokenid}")
async def delete_token(call: Call) -> Any:
    call.lab.access.drop_token(_may_keep_tokens(call))


def words(text: str) -> list[str]:
    return [part for part in re.split(r"[,;\s]+", text) if part]


def _privileges(call: Call) -> list[str]:
    wanted = words(call.params.get("privs", ""))
    for name in wanted:
        if name not in call.lab.access.known:
            raise invalid(privs=f"invalid format - invalid privilege '{name}'\n")
    return wanted


@ROUTES.on("POST", "/access/roles", {"roleid": NEEDED, "privs": TEXT}, allow=("/access", "Sys.Modify"))
async def create_role(call: Call) -> Any:
    access, role = call.lab.access, call.params["roleid"]
    if role in access.roles or role in access.special:
        raise Fault(500, f"create role failed: role '{role}' already exists")
    access.put_role(role, _privileges(call))


@ROUTES.on(
    "PUT", "/access/roles/{roleid}", {"privs": TEXT, "append": SWITCH}, allow=("/access", "Sys.Modify")
)
async def update_role(call: Call) -> Any:
    access, role = call.lab.access, call.path["roleid"]
    if role not in access.roles:
        raise Fault(500, f"role '{role}' does not exist")
    kept = access.roles[role] if call.params.get("append") == "1" else []
    access.put_role(role, [*kept, *_privileges(call)])


_ACL = {
    "path": NEEDED,
    "roles": NEEDED,
    "users": TEXT,
    "tokens": TEXT,
    "groups": TEXT,
    "propagate": SWITCH,
    "delete": SWITCH,
}


@ROUTES.on("PUT", "/access/acl", _ACL)
async def update_acl(call: Call) -> Any:
    access, path = call.lab.access, call.params["path"].rstrip("/") or "/"
    call.require(path, "Permissions.Modify")
    for role in words(call.params["roles"]):
        if role not in access.roles and role not in access.special:
            raise Fault(500, f"role '{role}' does not exist")
        for who in words(call.params.get("users", "")) + words(call.params.get("tokens", "")):
            if who not in access.users and who not in access.tokens:
                raise Fault(500, f"{'token' if '!' in who else 'user'} '{who}' does not exist")
            if call.params.get("delete") == "1":
                access.revoke(path, who, role)
            else:
                access.grant(path, who, role, propagate=call.params.get("propagate") != "0")
