"""A daemon for these tests: the backend alone, driven by one JSON line per call on a socket in the state folder.

Started as the real daemon is (`PYTHON driver.py STATE`), so that control's verbs work on it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from bootstrap.errors import LabError
from bootstrap.lab.backend import Disk, Hardware, Nic
from bootstrap.lab.machines.nspawn import Nspawn


def hardware(fields: dict[str, Any]) -> Hardware:
    return Hardware(
        **{
            **fields,
            "boot": tuple(fields["boot"]),
            "cdrom": Path(fields["cdrom"]) if fields["cdrom"] else None,
        }
        | {"nics": tuple(Nic(**nic) for nic in fields["nics"])}
        | {"disks": tuple(Disk(**{**disk, "path": Path(disk["path"])}) for disk in fields["disks"])}
    )


async def call(backend: Nspawn, request: dict[str, Any]) -> Any:
    match request:
        case {"start": fields}:
            return await backend.start(hardware(fields))
        case {"running": vmid}:
            return backend.running(vmid)
        case {"shutdown": vmid, "timeout": timeout}:
            return await backend.shutdown(vmid, timeout)
        case {"reboot": vmid, "timeout": timeout}:
            return await backend.reboot(vmid, timeout)
        case {"stop": vmid}:
            return await backend.stop(vmid)
        case {"eject": vmid}:
            return await backend.eject(vmid)
        case {"plug": vmid, "slot": slot, "path": path}:
            return await backend.plug(vmid, Disk(slot=slot, path=Path(path), imported=False))
        case {"erase": vmid}:
            return await backend.erase(vmid)
    raise LabError(f"unknown call {request}")


async def main(state: Path) -> None:
    plan = json.loads((state / "plan.json").read_text())
    backend = Nspawn(state, {**plan, "port": 8006, "files_port": 8080})
    await backend.open()
    servers = [
        await asyncio.start_server(lambda _, writer: writer.close(), sock=sock)
        for _, sock in await backend.sockets()
    ]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = {"result": await call(backend, json.loads(await reader.readline()))}
        except LabError as error:
            reply = {"error": str(error)}
        writer.write(json.dumps(reply).encode())
        await writer.drain()
        writer.close()

    servers.append(await asyncio.start_unix_server(answer, state / "calls"))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    endpoint = {"environment": plan["environment"], "backend": "nspawn"}
    unfinished = state / "endpoint.unfinished"
    unfinished.write_text(json.dumps({**endpoint, "netns": backend.netns}))
    unfinished.rename(state / "endpoint.json")
    await ended.wait()
    for server in servers:
        server.close()
    await backend.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
