"""The lab's process: `python -m bootstrap.lab.daemon STATE_DIR` reads plan.json, listens, writes endpoint.json, runs until SIGTERM.

Besides what the command line writes into the plan, these keys exist: `port` and `files_port` (0 or missing: any free one), `pace`
(seconds that a task takes at least), `delay_401`, `cpus`, `statistics_interval`, `first_statistics`, `version`, `qemu`, `containers`, and for the
backend record `deaf_guests` (no machine obeys a shutdown) and `guest_addresses` (MAC → addresses that the agents tell).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bootstrap.errors import LabError
from bootstrap.lab import files
from bootstrap.lab.backend import Backend, Record
from bootstrap.lab.dud import Duds
from bootstrap.lab.pve import certificate, context, server, site
from bootstrap.lab.pve.http import IDLE_SECONDS
from bootstrap.lab.pve.startup import start_on_boot

if TYPE_CHECKING:
    import ssl


PORTS = {"api": "port", "files": "files_port"}
"""Socket → the key of the plan that may name its port."""


@dataclass
class Daemon:
    """A lab that listens. `serve` opens everything, `close` undoes it."""

    state: Path
    plan: dict[str, Any]
    runners: list[web.AppRunner] = field(default_factory=list)
    backend: Backend | None = None
    lab: context.Lab | None = None

    async def serve(self) -> dict[str, Any]:
        """Opens the sockets; the endpoint's values."""
        for folder in ("www", "storage", "machines"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        own = [(kind, self._socket(kind)) for kind in PORTS]
        self.plan |= {PORTS[kind]: one.getsockname()[1] for kind, one in own}
        write_private(self.state / "ports.json", {kind: self.plan[key] for kind, key in PORTS.items()})
        backend = self.backend = Duds(choose(self.state, self.plan))
        await backend.open()
        inside = await backend.sockets() if hasattr(backend, "sockets") else []
        key = certificate.ensure(self.state, self.plan["nodes"])
        host = self.plan["ipv4"]["gateway"] if inside else "127.0.0.1"
        port = next(
            (one.getsockname()[1] for kind, one in inside if kind == "files"), self.plan["files_port"]
        )
        lab = self.lab = context.make(
            self.state,
            self.plan,
            backend,
            fingerprint=certificate.fingerprint(key),
            files=f"http://{host}:{port}",
            loopback_files=f"http://127.0.0.1:{self.plan['files_port']}",
        )
        site.furnish(lab)
        tls = certificate.server_context(key)
        await self._listen("api", server.make(lab), [*own, *inside], tls)
        await self._listen("files", files.make(self.state / "www"), [*own, *inside], None)
        start_on_boot(lab)
        return self._endpoint(lab)

    def _socket(self, kind: str) -> socket.socket:
        """The port that the plan names, else the one of the last time (addresses that were given out go on), else any."""
        if named := self.plan.get(PORTS[kind]):
            return listen(named)
        with contextlib.suppress(OSError, ValueError, KeyError, LabError):
            return listen(json.loads((self.state / "ports.json").read_text())[kind])
        return listen(0)

    async def _listen(
        self,
        kind: str,
        application: web.Application,
        sockets: list[tuple[str, socket.socket]],
        tls: ssl.SSLContext | None,
    ) -> None:
        runner = web.AppRunner(application, keepalive_timeout=IDLE_SECONDS, access_log=None)
        await runner.setup()
        self.runners.append(runner)
        for name, one in sockets:
            if name == kind:
                await web.SockSite(runner, one, ssl_context=tls).start()

    def _endpoint(self, lab: context.Lab) -> dict[str, Any]:
        plan = self.plan
        token = plan.get("token_id") or ""
        project = Path(plan["project"]) if plan.get("project") else None
        return {
            "environment": plan.get("environment"),
            "backend": lab.backend.name,
            "reason": plan.get("reason", ""),
            "pve": lab.pve,
            "url": f"https://127.0.0.1:{plan['port']}",
            "token_id": token,
            "token": lab.access.tokens[token]["value"] if token else "",
            "fingerprint": lab.fingerprint,
            "root_password": lab.login.root_password,
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "netns": getattr(lab.backend, "netns", None),
            "files": lab.files,
            **site.publish(self.state / "www", lab.files, project, plan.get("software", {})),
        }

    async def close(self) -> None:
        """Undoes what `serve` did, as far as it came."""
        for runner in self.runners:
            await runner.cleanup()
        if self.lab:
            await self.lab.tasks.close()
        if self.backend:
            await self.backend.close()
        if self.lab:
            self.lab.store.close()


def listen(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("127.0.0.1", port))
    except OSError as error:
        one.close()
        raise LabError(
            f"lab: port {port} on 127.0.0.1 is taken ({error.strerror}); stop its owner or choose another port"
        ) from error
    one.listen(128)
    one.setblocking(False)
    return one


def choose(state: Path, plan: dict[str, Any]) -> Backend:
    if plan.get("backend", "record") == "record":
        return Record(deaf=bool(plan.get("deaf_guests")), addresses=plan.get("guest_addresses"))
    from bootstrap.lab.machines.nspawn import Nspawn

    backend: Backend = Nspawn(state, plan)
    return backend


def started(pid: int) -> int:
    """The process's start in clock ticks, as /proc has it; 0 where there is no /proc."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def write_private(file: Path, values: dict[str, Any]) -> None:
    """The whole file or none of it, and never readable to others."""
    fresh = file.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(values, out, indent=2)
    fresh.replace(file)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """What is no HTTP is the sender's affair: it gets its 400, and the log stays for the lab's own faults."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


async def run(state: Path) -> None:
    logging.getLogger("aiohttp.server").addFilter(_worth_a_line)
    daemon = Daemon(state=state, plan=json.loads((state / "plan.json").read_text()))
    over = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, over.set)
    try:
        write_private(state / "endpoint.json", await daemon.serve())
        await over.wait()
    finally:
        (state / "endpoint.json").unlink(missing_ok=True)
        await daemon.close()


def main(arguments: list[str]) -> int:
    state = Path(arguments[0]).resolve()
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run(state))
    except (LabError, FileNotFoundError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
