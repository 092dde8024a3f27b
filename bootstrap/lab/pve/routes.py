"""Endpoints as values: what is called, with what, by whom, and who may."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    from bootstrap.lab.pve.access import Identity
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.schema import Rule

    Handler = Callable[["Call"], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an endpoint, parsed: `path` has the path's parts, `params` the checked parameters as text."""

    lab: Lab
    who: Identity
    path: Mapping[str, str]
    params: dict[str, str]
    request: web.Request

    @property
    def vmid(self) -> int:
        return int(self.path["vmid"])

    @property
    def node(self) -> str:
        return self.path["node"]

    def integer(self, name: str, default: int = 0) -> int:
        return int(self.params.get(name, default))

    def words(self, name: str) -> list[str]:
        """The parts of an array."""
        return self.params[name].split("\0")

    def require(self, path: str, *privileges: str) -> None:
        self.lab.access.require(self.who, path, *privileges)

    def may(self, path: str, *privileges: str) -> bool:
        return self.lab.access.may(self.who, path, *privileges)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Data with a `total` beside it."""

    data: Any
    total: int


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint. `allow` is a path template and the privileges of which one is needed there."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    rules: Mapping[str, Rule]
    allow: tuple[str, ...] = ()
    anonymous: bool = False
    ticket_only: bool = False
    upload: bool = False


@dataclass
class Routes:
    """The endpoints of one module, collected by decoration."""

    table: list[Route] = field(default_factory=list)

    def on(
        self,
        method: str,
        path: str,
        rules: Mapping[str, Rule] | None = None,
        *,
        allow: tuple[str, ...] = (),
        anonymous: bool = False,
        ticket_only: bool = False,
        upload: bool = False,
    ) -> Callable[[Handler], Handler]:
        shape = re.sub(
            r"\\{(\w+)\\}",
            lambda name: f"(?P<{name[1]}>{'.+' if name[1] == 'volume' else '[^/]+'})",
            re.escape(path),
        )

        def keep(handler: Handler) -> Handler:
            route = Route(
                method=method,
                pattern=re.compile(shape),
                handler=handler,
                rules=rules or {},
                allow=allow,
                anonymous=anonymous,
                ticket_only=ticket_only,
                upload=upload,
            )
            self.table.append(route)
            return handler

        return keep
