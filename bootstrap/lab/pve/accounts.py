"""Endpoints of the accounts: login, permissions, users, tokens."""

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


_MODIFY = ("/access/groups", "User.Modify")
_SEE = ("/access/groups", "User.Modify", "Sys.Audit")
_SHOWN = ("enable", "expire", "firstname", "lastname", "email", "comment", "keys")


def _extract(call: Call, user: str, *, full: bool) -> dict[str, Any]:
    """What of a user is shown. The file that keeps them drops what is empty at a line's end, and only there."""
    entry = {key: value for key, value in call.lab.access.users[user].items() if key in _SHOWN}
    entry |= {"email": entry.get("email", "")} if entry.get("comment") else {}
    if full:
        entry |= {"groups": [], "tokens": _tokens(call, user)}
    return entry


def _tokens(call: Call, user: str) -> dict[str, Any]:
    mine = {name: one for name, one in call.lab.access.tokens.items() if name.startswith(f"{user}!")}
    return {name.partition("!")[2]: _public(one) for name, one in sorted(mine.items())}


@ROUTES.on("GET", "/access/users", {"enabled": SWITCH, "full": SWITCH})
async def users(call: Call) -> Any:
    found, all_of_them = [], call.may(*_SEE)
    for user in sorted(call.lab.access.users):
        entry = _extract(call, user, full=call.params.get("full") == "1")
        if (all_of_them or user == call.who.name) and call.integer("enabled", entry["enable"]) == entry[
            "enable"
        ]:
            if "tokens" in entry:
                entry["tokens"] = [{"tokenid": name, **one} for name, one in entry["tokens"].items()]
                entry["groups"] = ""
            found.append({**entry, "userid": user, "realm-type": user.partition("@")[2]})
    return found


@ROUTES.on("POST", "/access/users", {**_USER, "userid": NEEDED, "password": Rule(pattern=".{8,64}")})
async def create_user(call: Call) -> Any:
    access, values = call.lab.access, dict(call.params)
    user = values.pop("userid")
    if not re.fullmatch(r"[^\s:/]+@[A-Za-z][\w.-]+", user):
        raise invalid(userid=f"invalid format - value '{user}' does not look like a valid user name\n")
    call.require(f"/access/realm/{user.partition('@')[2]}", "Realm.AllocateUser")
    call.require(*_MODIFY)
    if user in access.users:
        raise Fault(500, f"create user failed: user '{user}' already exists")
    access.put_user(user, {"enable": 1, "expire": 0, **values, **_numbers(call)})


def _numbers(call: Call) -> dict[str, int]:
    return {key: int(value) for key, value in call.params.items() if key in ("enable", "expire")}


@ROUTES.on("GET", "/access/users/{userid}", allow=_SEE)
async def user(call: Call) -> Any:
    entry = _extract(call, _known(call), full=True)
    return {key: value for key, value in entry.items() if value != {}}


@ROUTES.on("PUT", "/access/users/{userid}", {**_USER, "append": SWITCH}, allow=_MODIFY)
async def update_user(call: Call) -> Any:
    user = _known(call, "update user failed: ")
    values = {key: value for key, value in call.params.items() if key != "append"}
    call.lab.access.put_user(user, {**call.lab.access.users[user], **values, **_numbers(call)})


@ROUTES.on("DELETE", "/access/users/{userid}", allow=_MODIFY)
async def delete_user(call: Call) -> Any:
    call.require(f"/access/realm/{call.path['userid'].partition('@')[2]}", "Realm.AllocateUser")
    call.lab.access.drop_user(_known(call, "delete user failed: "))


def _known(call: Call, where: str = "") -> str:
    user = call.path["userid"]
    if user not in call.lab.access.users:
        raise Fault(500, f"{where}no such user ('{user}')")
    return user


_TOKEN = {"comment": TEXT, "expire": WHOLE, "privsep": SWITCH}
_CHANGED = _TOKEN | {"delete": Rule(new=True), "regenerate": Rule(kind="boolean", new=True)}


def _token(call: Call, *, there: bool = True) -> str:
    """The full name of the token that is called for; its user's own, or asked for by whoever may modify users."""
    user, name = call.path["userid"], call.path.get("tokenid", "")
    if call.who.user != user:
        call.require(*_MODIFY)
    full = f"{_known(call)}!{name}"
    if there and full not in call.lab.access.tokens:
        raise Fault(500, f"no such token '{name}' for user '{user}'")
    return full


def _public(token: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in token.items() if key != "value"}


@ROUTES.on("GET", "/access/users/{userid}/token")
async def tokens(call: Call) -> Any:
    _token(call, there=False)
    return [{"tokenid": name, **one} for name, one in _tokens(call, call.path["userid"]).items()]


@ROUTES.on("GET", "/access/users/{userid}/token/{tokenid}")
async def token(call: Call) -> Any:
    return _public(call.lab.access.tokens[_token(call)])


@ROUTES.on("POST", "/access/users/{userid}/token/{tokenid}", _TOKEN)
async def create_token(call: Call) -> Any:
    name = _token(call, there=False)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]+", call.path["tokenid"]):
        raise invalid(tokenid="value does not match the regex pattern")
    if name in call.lab.access.tokens:
        raise invalid(tokenid="Token already exists.")
    info, value = {"privsep": "1", **call.params}, str(uuid.uuid4())
    numbers = {"privsep": int(info["privsep"]), "expire": call.integer("expire")}
    call.lab.access.put_token(name, {**info, **numbers, "value": value})
    return {"full-tokenid": name, "info": info, "value": value}


@ROUTES.on("PUT", "/access/users/{userid}/token/{tokenid}", _CHANGED)
async def update_token(call: Call) -> Any:
    """What was sent comes back as it was sent."""
    name, removals = _token(call), words(call.params.get("delete", ""))
    for key in set(removals) - {"comment"}:
        raise invalid(delete=f"unknown option '{key}'")
    entry = {
        **call.lab.access.tokens[name],
        **{key: call.params[key] for key in _TOKEN if key in call.params},
    }
    entry = {key: value for key, value in entry.items() if key not in removals and value != ""}
    fresh = {"value": str(uuid.uuid4())} if call.params.get("regenerate") == "1" else {}
    kept = {**entry, **fresh, "privsep": int(entry["privsep"]), "expire": int(entry["expire"])}
    call.lab.access.put_token(name, kept)
    return _public(entry) | ({**fresh, "full-tokenid": name} if fresh else {})


@ROUTES.on("DELETE", "/access/users/{userid}/token/{tokenid}")
async def delete_token(call: Call) -> Any:
    call.lab.access.drop_token(_token(call))


def words(text: str) -> list[str]:
    return [part for part in re.split(r"[,;\s]+", text) if part]
