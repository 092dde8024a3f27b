"""The HTTP side: who asks, which endpoint, whether allowed, are the parameters right, and the answer as Proxmox sends it.

Proxmox delays every 401 by 3 seconds. The lab does not, unless its plan says so (`"delay_401": 3`).
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from weakref import WeakKeyDictionary

from aiohttp import web

from bootstrap.lab.pve import requestlog
from bootstrap.lab.pve.access import NOBODY
from bootstrap.lab.pve.fault import Fault, denied
from bootstrap.lab.pve.routes import Answer, Call
from bootstrap.lab.pve.schema import check

if TYPE_CHECKING:
    from bootstrap.lab.pve.access import Identity
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.routes import Route

BASE = "/api2/json"
LARGEST_BODY = 512 * 1024
IDLE_SECONDS = 5.0
REQUESTS_PER_CONNECTION = 100


class Api:
    """Answers every request of the API port."""

    def __init__(self, lab: Lab, routes: list[Route], *, delay_401: float = 0.0) -> None:
        self._lab = lab
        self._routes = routes
        self._delay_401 = delay_401
        self._served: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            result = await self._answer(request)
            total = {"total": result.total} if isinstance(result, Answer) and result.total else {}
            data = result.data if isinstance(result, Answer) else result
            if isinstance(data, str) and data.startswith("UPID:"):
                requestlog.remark(upid=data)
            response = web.Response(body=json.dumps({"data": data, **total}).encode())
        except Fault as fault:
            response = await self._failure(fault)
        return self._dress(request, response)

    async def _failure(self, fault: Fault) -> web.Response:
        if fault.status == 401 and self._delay_401:
            await asyncio.sleep(self._delay_401)
        reason = re.sub(r"[\x00-\x1f\x7f]", " ", fault.text.split("\n")[0]).strip()
        if fault.bare:
            return web.Response(status=fault.status, reason=reason)
        end = "" if fault.status == 501 else "\n"
        body = {"data": None, "message": f"{fault.text.rstrip()}{end}"} | (
            {"errors": fault.errors} if fault.errors else {}
        )
        return web.Response(status=fault.status, reason=reason, body=json.dumps(body).encode())

    def _dress(self, request: web.Request, response: web.Response) -> web.Response:
        now = email.utils.formatdate(usegmt=True)
        head = {
            "Cache-Control": "max-age=0",
            "Pragma": "no-cache",
            "Server": "pve-api-daemon/3.0",
            "Date": now,
            "Expires": now,
        }
        response.headers.update(head)
        if response.body is not None:
            response.headers["Content-Type"] = "application/json;charset=UTF-8"
        count = self._served[request.transport] = self._served.get(request.transport, 0) + 1
        if response.status >= 400 or count >= REQUESTS_PER_CONNECTION:
            response.force_close()
        return response

    async def _answer(self, request: web.Request) -> Any:
        if request.method not in ("GET", "POST", "PUT", "DELETE"):
            raise Fault(501, f"method '{request.method}' not available", bare=True)
        has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
        if has_body and request.method in ("GET", "DELETE"):
            raise Fault(501, f"Unexpected content for method '{request.method}'", bare=True)
        if "Transfer-Encoding" in request.headers:
            raise Fault(501, "chunked transfer encoding not supported", bare=True)
        path = request.path.removeprefix(BASE) if request.path.startswith(BASE) else f"\0{request.path}"
        path = re.sub("/+", "/", path).rstrip("/") or "/"
        route, parts = self._find(request.method, path)
        who = self._identify(request, route)
        if route is None:
            raise Fault(501, f"Method '{request.method} {path.lstrip(chr(0)) or '/'}' not implemented")
        return await self._call(request, route, parts, who)

    def _find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        for route in self._routes:
            if route.method == method and (found := route.pattern.fullmatch(path)):
                return route, found.groupdict()
        return None, {}

    def _identify(self, request: web.Request, route: Route | None) -> Identity:
        login = self._lab.login
        if route and route.anonymous:
            return NOBODY
        who = login.identify(
            request.headers.get("Authorization", ""), cookie(request.headers.get("Cookie", ""))
        )
        if request.method != "GET":
            login.check_csrf(who, request.headers.get("CSRFPreventionToken", ""))
        if route and route.ticket_only and who.token:
            uri = request.path.removeprefix(BASE)
            raise denied(f"URI '{uri}' not available with API token, need proper ticket.\n")
        return who

    async def _call(self, request: web.Request, route: Route, parts: dict[str, str], who: Identity) -> Any:
        lab = self._lab
        if route.allow:
            path, *privileges = route.allow
            if not lab.access.may(who, path.format(**parts), *privileges):
                raise denied(path.format(**parts), *privileges, bare=route.upload)
        if parts.get("node", lab.nodes[0]) not in lab.nodes:
            node = parts["node"]
            raise Fault(
                500,
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Temporary failure in name resolution",
            )
        if down := lab.mishaps.down(parts.get("node", "")):
            requestlog.remark(faults=[f"{down.id} {down.kind}"])
            raise Fault(595, down.words, bare=True)
        vmid = parts.get("vmid")
        if vmid is not None and not re.fullmatch(r"[1-9]\d{2,8}", vmid):
            raise Fault(
                400,
                "Parameter verification failed.",
                {"vmid": "invalid format - value does not look like a valid VM ID\n"},
            )
        given: dict[str, Any] = {} if route.upload else await body(request)
        given |= pairs(request.query_string)
        requestlog.remark(params=sorted(given))
        params = check(route.rules, given, old_wording=lab.pve == "8.4")
        return await route.handler(Call(lab=lab, who=who, path=parts, params=params, request=request))


def cookie(header: str) -> str:
    """The ticket among the cookies."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == "PVEAuthCookie":
            return value
    return ""


def pairs(text: str) -> dict[str, Any]:
    """A form: pairs between `&` or `;`; what comes twice is a list."""
    values: dict[str, Any] = {}
    for pair in re.split("[&;]", text):
        name, _, value = pair.partition("=")
        if name:
            key, plain = unquote_plus(name), unquote_plus(value)
            values[key] = (
                plain
                if key not in values
                else [*(values[key] if isinstance(values[key], list) else [values[key]]), plain]
            )
    return values


async def body(request: web.Request) -> dict[str, Any]:
    """The parameters that the body carries, from a form or from JSON."""
    length = request.content_length or 0
    if length > LARGEST_BODY:
        raise Fault(501, "for data too large", bare=True)
    if not length:
        return {}
    text = (await request.read()).decode("utf-8", "replace")
    if request.content_type == "application/json":
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Fault(400, f"unable to parse JSON: {error}") from error
        if not isinstance(values, dict):
            raise Fault(400, "unable to parse JSON: not an object")
        return values
    if request.content_type == "application/x-www-form-urlencoded":
        return pairs(text)
    raise Fault(506, f"unexpected content type '{request.content_type}'", bare=True)
