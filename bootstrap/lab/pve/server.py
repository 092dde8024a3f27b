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
    pools,
    power,
    qemu,
    resize,
    update,
    upload,
)
from bootstrap.lab.pve.http import Api

if TYPE_CHECKING:
    from bootstrap.lab.pve.context import Lab


def make(lab: Lab) -> web.Application:
    routes = [
        route
        for module in (
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
        )
        for route in module.ROUTES.table
    ]
    api = Api(lab, routes, delay_401=float(lab.plan.get("delay_401", 0)))
    application = web.Application(client_max_size=1 << 20, handler_args={"auto_decompress": False})
    application.router.add_route("*", "/{path:.*}", api.handle)
    return application
