"""Who asks: API tokens, tickets and their CSRF tokens, passwords."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bootstrap.lab.pve.access import ROOT, Access, Identity
from bootstrap.lab.pve.fault import Fault, unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootstrap.lab.pve.state import Store

LIFETIME = 7200  # seconds a ticket is good for


class Login:
    """The door. The key of the tickets and root's password are made once and kept."""

    def __init__(self, store: Store, access: Access) -> None:
        self._access = access
        self._key = bytes.fromhex(_secret(store, "ticket-key"))
        self.root_password = _secret(store, "root-password")

    def identify(self, authorization: str, cookie: str) -> Identity:
        """Who sends these headers; a fault when nobody that we know."""
        if authorization.startswith("PVEAPIToken"):
            return self._by_token(authorization.removeprefix("PVEAPIToken").lstrip("= "))
        ticket = unquote(
            cookie
            or authorization.removeprefix("PVEAuthCookie=" if authorization.startswith("PVEAuth") else "\0")
        )
        if not ticket or ticket.startswith(("Bearer", "Basic")):
            raise unauthorized("No ticket")
        return self._by_ticket(ticket)

    def _by_token(self, text: str) -> Identity:
        name, _, secret = text.partition("=")
        user, _, token = name.partition("!")
        entry = self._access.tokens.get(name)
        if not entry or not _same(entry["value"], secret) or expired(entry):
            raise unauthorized("Authentication failed!")
        self._enabled(user)
        return Identity(user=user, token=token)

    def _by_ticket(self, ticket: str) -> Identity:
        plain, _, signature = ticket.rpartition("::")
        _, _, rest = plain.partition(":")
        user, _, stamp = rest.rpartition(":")
        if (
            not _same(signature, self._sign(plain))
            or not 0 <= time.time() - int(stamp, 16) + 300 < LIFETIME + 300
        ):
            raise unauthorized("Authentication failed!")
        self._enabled(user)
        return Identity(user=user)

    def _enabled(self, user: str) -> None:
        entry = self._access.users.get(user)
        if not entry or not entry["enable"] or expired(entry):
            raise unauthorized("Authentication failed!")

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def ticket(self, user: str) -> tuple[str, str]:
        """A ticket and the CSRF token that belongs to it."""
        plain = f"PVE:{user}:{int(time.time()):08X}"
        stamp = f"{int(time.time()):08X}"
        return f"{plain}::{self._sign(plain)}", f"{stamp}:{self._sign(f'{stamp}:{user}')}"

    def check_csrf(self, who: Identity, token: str) -> None:
        stamp, _, signature = token.partition(":")
        if who.token or _same(signature, self._sign(f"{stamp}:{who.user}")):
            return
        raise unauthorized("Permission denied - invalid csrf token")

    def check(self, user: str, password: str) -> None:
        """Password, or a ticket that is still good."""
        try:
            if password.startswith("PVE:") and self._by_ticket(password).user == user:
                return
            self._enabled(user)
        except (Fault, ValueError):
            password = ""
        known = self.root_password if user == ROOT else self._access.users.get(user, {}).get("password", "")
        if not known or not password or not _same(known, password):
            raise Fault(401, "authentication failure")


def _same(one: str, other: str) -> bool:
    """Compared in constant time; what came as broken UTF-8 is compared too."""
    return hmac.compare_digest(*(text.encode("utf-8", "surrogatepass") for text in (one, other)))


def expired(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("expire")) and float(entry["expire"]) <= time.time()


def _secret(store: Store, name: str) -> str:
    kept = store.load("secret")
    if name not in kept:
        kept[name] = secrets.token_hex(16)
        store.put("secret", name, kept[name])
    return str(kept[name])
