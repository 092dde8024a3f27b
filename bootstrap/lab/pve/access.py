"""Users, tokens, roles and access lists, and what somebody may do at a path.

The rules: a deeper entry of a user or token replaces the higher ones; an entry without `propagate` counts at its own path only;
a token with privilege separation may do what both its own entries and its user's allow; a pool's entries count for its members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import denied
from bootstrap.lab.pve.privileges import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootstrap.lab.pve.state import Store

ROOT = "root@pam"
CACHED = 20_000  # answers that are kept; a list of 2,000 machines needs as many


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks: a user, or one of the user's tokens."""

    user: str
    token: str = ""

    @property
    def name(self) -> str:
        return f"{self.user}!{self.token}" if self.token else self.user

    @property
    def is_root(self) -> bool:
        return self.name == ROOT


NOBODY = Identity(user="")
_OWNERS = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


def modifiers(path: str) -> list[str]:
    """The privileges of which one allows to give away what is at the path."""
    area, _, subject = path.strip("/").partition("/")
    return ["Permissions.Modify", *([_OWNERS[area]] if subject and area in _OWNERS else [])]


class Access:
    """The accounts. `pool_of` answers the pool that a VMID belongs to."""

    def __init__(self, store: Store, pve: str) -> None:
        self._store = store
        self.special = ROLES[pve]
        self.known = self.special["Administrator"]
        self.users: dict[str, dict[str, Any]] = store.load("user")
        self.tokens: dict[str, dict[str, Any]] = store.load("token")
        self.roles: dict[str, list[str]] = store.load("role")
        self.acl: dict[str, dict[str, Any]] = store.load("acl")
        self.pools: dict[str, dict[str, Any]] = store.load("pool")
        self._cache: dict[tuple[str, str], dict[str, int]] = {}
        if ROOT not in self.users:
            self.put_user(ROOT, {"enable": 1, "expire": 0})

    def _put(self, kind: str, table: dict[str, Any], key: str, value: Any) -> None:
        table[key] = value
        self._store.put(kind, key, value)
        self._cache.clear()

    def _drop(self, kind: str, table: dict[str, Any], key: str) -> None:
        table.pop(key, None)
        self._store.drop(kind, key)
        self._cache.clear()

    def put_user(self, user: str, value: dict[str, Any]) -> None:
        self._put("user", self.users, user, value)

    def put_token(self, name: str, value: dict[str, Any]) -> None:
        self._put("token", self.tokens, name, value)

    def drop_token(self, name: str) -> None:
        self._forget(ugid=name)
        self._drop("token", self.tokens, name)

    def put_role(self, role: str, privileges: list[str]) -> None:
        self._put("role", self.roles, role, sorted(set(privileges)))

    def grant(self, path: str, who: str, role: str, *, propagate: bool = True) -> None:
        entry = {
            "path": path,
            "ugid": who,
            "roleid": role,
            "propagate": int(propagate),
            "type": "token" if "!" in who else "user",
        }
        self._put("acl", self.acl, f"{path} {who} {role}", entry)

    def revoke(self, path: str, who: str, role: str) -> None:
        self._drop("acl", self.acl, f"{path} {who} {role}")

    def forget_machine(self, vmid: int) -> None:
        self._forget(path=f"/vms/{vmid}")
        if pool := self.pool_of(vmid):
            rest = [one for one in self.pools[pool]["vms"] if one != vmid]
            self.put_pool(pool, {**self.pools[pool], "vms": rest})

    def _forget(self, **fields: str) -> None:
        """Drops the entries of the access lists in which all these fields have these values."""
        for key in [key for key, one in self.acl.items() if fields.items() <= one.items()]:
            self._drop("acl", self.acl, key)

    def drop_user(self, user: str) -> None:
        for name in [name for name in self.tokens if name.startswith(f"{user}!")]:
            self.drop_token(name)
        self._forget(ugid=user)
        self._drop("user", self.users, user)

    def drop_role(self, role: str) -> None:
        self._forget(roleid=role)
        self._drop("role", self.roles, role)

    def drop_pool(self, pool: str) -> None:
        self._forget(path=f"/pool/{pool}")
        self._drop("pool", self.pools, pool)

    def put_pool(self, pool: str, value: dict[str, Any]) -> None:
        self._put("pool", self.pools, pool, value)

    def pool_of(self, vmid: int) -> str | None:
        return next((pool for pool, value in self.pools.items() if vmid in value["vms"]), None)

    def privileges(self, who: Identity, path: str) -> Mapping[str, int]:
        """Each privilege that holds at the path, with whether it propagates."""
        key = (who.name, path)
        if key not in self._cache:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[key] = self._resolve(who, path)
        return self._cache[key]

    def _resolve(self, who: Identity, path: str) -> dict[str, int]:
        if who.is_root:
            return dict.fromkeys(self.known, 1)
        if not who.token:
            return self._of(who.user, path)
        user = dict.fromkeys(self.known, 1) if who.user == ROOT else self._of(who.user, path)
        if who.name not in self.tokens:
            return {}
        if not self.tokens[who.name]["privsep"]:
            return user
        return {
            name: spreads & user[name] for name, spreads in self._of(who.name, path).items() if name in user
        }

    def _of(self, name: str, path: str) -> dict[str, int]:
        held = self._listed(name, path)
        area, _, subject = path.strip("/").partition("/")
        pool = self.pool_of(int(subject)) if area == "vms" and subject.isdigit() and self.pools else None
        return {**self._listed(name, f"/pool/{pool}"), **held} if pool else held

    def _listed(self, name: str, path: str) -> dict[str, int]:
        parts = path.strip("/").split("/") if path != "/" else []
        held: dict[str, int] = {}
        for depth in range(len(parts) + 1):
            level = "/" + "/".join(parts[:depth])
            entries = [
                entry
                for entry in self.acl.values()
                if entry["path"] == level
                and entry["ugid"] == name
                and (entry["propagate"] or depth == len(parts))
            ]
            if entries:
                held = {
                    privilege: entry["propagate"]
                    for entry in entries
                    for privilege in self.role(entry["roleid"])
                }
        return held

    def role(self, role: str) -> list[str]:
        return self.roles.get(role) or self.special.get(role, [])

    def may(self, who: Identity, path: str, *privileges: str) -> bool:
        """Whether one of the privileges holds."""
        held = self.privileges(who, path)
        return any(name in held for name in privileges)

    def require(self, who: Identity, path: str, *privileges: str) -> None:
        if not self.may(who, path, *privileges):
            raise denied(path, *privileges)
