"""The lab's plain HTTP file server over <state>/www: images, mirrors, and the repository for Git's dumb protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path


def below(www: Path, name: str) -> Path | None:
    """The file of this name, when it is one and does not lie outside."""
    file = (www / name).resolve()
    return file if file.is_relative_to(www.resolve()) and file.is_file() else None


def make(www: Path) -> web.Application:
    """GET and HEAD of files below `www`, nothing else; folders are not listed."""

    async def serve(request: web.Request) -> web.StreamResponse:
        file = below(www, request.match_info["path"])
        if file is None:
            return web.Response(status=404, reason="File not found", text="File not found\n")
        return web.FileResponse(file)

    application = web.Application()
    application.router.add_get("/{path:.*}", serve)
    return application
