"""The API port: every endpoint that the lab serves, behind one handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bootstrap.lab.pve import (
    accounts,
    activity,
    agent,
    cluster,
    content,
    create,
    destroy,
    download,
    grants,
    migrate,
    pools,
    power,
    qemu,
    resize,
    update,
    upload,
)
from bootstrap.lab.pve.http import Api
from bootstrap.lab.pve.requestlog import RequestLog

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab
    from bootstrap.lab.pve.routes import Route


MODULES = (
    cluster,
    activity,
    accounts,
    grants,
    pools,
    content,
    download,
    upload,
    qemu,
    create,
    destroy,
    update,
    resize,
    power,
    agent,
    migrate,
)


def routes() -> list[Route]:
    """Every endpoint that is served, in the order in which they are tried."""
    return [route for module in MODULES for route in module.ROUTES.table]


def make(lab: Lab) -> web.Application:
    api = Api(lab, routes(), delay_401=float(lab.plan.get("delay_401", 0)))
    application = web.Application(client_max_size=1 << 20, handler_args={"auto_decompress": False})
    handle = lab.mishaps.around(api.handle, RequestLog(lab.state), lab.nodes[0])
    application.router.add_route("*", "/{path:.*}", handle)
    return application
