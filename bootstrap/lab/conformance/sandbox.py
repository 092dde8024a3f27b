"""A lab in a thread of this process on free loopback ports, with a file server beside it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import threading
from typing import TYPE_CHECKING, Any

from bootstrap.lab.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextlib.contextmanager
def running_lab(state: Path, plan: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Daemon]]:
    """The endpoint's values, and the daemon that serves it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    daemon = Daemon(state=state, plan=dict(plan))

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    try:
        yield call(daemon.serve()), daemon
    finally:
        call(daemon.close())
        call(asyncio.sleep(0.02))  # TLS connections take some turns of the loop to close
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves the folder's files by HTTP from a free port; the base URL."""
    folder.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
