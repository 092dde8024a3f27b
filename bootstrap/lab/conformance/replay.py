"""Replays recorded exchanges with a real Proxmox VE against a lab and compares the answers.

A recording has a start state, the seed that made it, and steps. Images and ISOs are not part of it: files of the same names, sizes and
formats take their places, and their checksums, like the address of the recording's file server and every UPID, are exchanged in
both directions. What no two runs share (times, process numbers, digests, load, usage) is blanked before comparing; nothing else is.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from bootstrap.lab.conformance.likeness import likeness, told
from bootstrap.lab.conformance.recording import substitute
from bootstrap.lab.pve.certificate import unverified_context
from bootstrap.lab.pve.storage import FOLDERS

if TYPE_CHECKING:
    from pathlib import Path

RECORDED_FILES = "127.0.0.1:8099"
LONG_GAP = 9.0  # seconds: in such a pause the recorded status daemon went round


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One compared step; `differences` is empty when it matched."""

    number: int
    request: str
    note: str
    differences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The lab under test. `storage` is its folder of volumes, `files` where the substitutes are served, `interval` its status
    daemon's period in seconds."""

    url: str
    storage: Path
    root_password: str
    files: str
    interval: float


@dataclass
class Replay:
    """One recording against one lab."""

    recording: dict[str, Any]
    target: Target
    exchanges: dict[str, str] = field(default_factory=dict)
    differences: dict[int, list[str]] = field(default_factory=dict)
    unfinished: list[tuple[float, int, str]] = field(default_factory=list)
    token: str = ""

    def run(self) -> list[Outcome]:
        self._login()
        self._exchange_files()
        self._place_images()
        for step in self.recording["seed"]:
            self._seed(step)
        last = 0.0
        for number, step in enumerate(self.recording["steps"]):
            if "parallel" in step:
                continue
            self._finish_until(step["at_s"])
            if step["at_s"] - last > LONG_GAP:
                time.sleep(self.target.interval)
            ends = [poll["at_s"] for poll in step.get("task", {"polls": []})["polls"]]
            last = max([step["at_s"] + step["took_s"], *ends])
            self._compare(number, step)
        self._finish_until(float("inf"))
        return [
            Outcome(
                number=number,
                request=f"{step['request']['method']} {step['request']['path']}",
                note=step["note"] or "",
                differences=tuple(self.differences[number]),
            )
            for number, step in enumerate(self.recording["steps"])
            if number in self.differences
        ]

    def _login(self) -> None:
        form = urlencode({"username": "root@pam", "password": self.target.root_password}).encode()
        answer = json.loads(
            self._send("POST", "/access/ticket", form, {"Content-Type": "application/x-www-form-urlencoded"})[
                "text"
            ]
        )
        cookie = f"PVEAuthCookie={quote(answer['data']['ticket'], safe='')}"
        self._root = {"Cookie": cookie, "CSRFPreventionToken": answer["data"]["CSRFPreventionToken"]}

    def _exchange_files(self) -> None:
        self.exchanges[RECORDED_FILES] = urlsplit(self.target.files).netloc
        for name, file in self.recording["start"]["http_server"]["files"].items():
            ours = hashlib.sha512(substitute(name, file["size"])).hexdigest()
            self.exchanges |= {file["sha512"]: ours, file["sha512"].upper(): ours.upper()}
        for step in [*self.recording["seed"], *self.recording["steps"]]:
            for part in step.get("request", {}).get("multipart", []):
                if "sha256" in part:
                    self.exchanges[part["sha256"]] = hashlib.sha256(
                        substitute(part["filename"], part["size"])
                    ).hexdigest()

    def _place_images(self) -> None:
        """Puts the images of the start state on the storages, apart from those that the seed brings. No task may show for it."""
        seeded = [
            part.get("filename")
            for step in self.recording["seed"]
            for part in step["request"].get("multipart", [])
        ]
        node = self.recording["start"]["nodes"][0]["node"]
        for storage, volumes in self.recording["start"]["storage_content"].items():
            for volume in volumes:
                name = volume["volid"].rpartition("/")[2]
                if volume["content"] in ("iso", "import") and name not in seeded:
                    folder = self.target.storage / node / storage / FOLDERS[volume["content"]]
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(substitute(name, volume["size"]))

    def _seed(self, step: dict[str, Any]) -> None:
        answer = self._request(step)
        if answer["status"] != step["response"]["status"]:
            raise ValueError(
                f"the seed's {step['request']['path']} answered {answer['status']} {answer['reason']}"
            )
        data = json.loads(answer["text"])["data"]
        if isinstance(data, dict) and "full-tokenid" in data:
            self.token = f"PVEAPIToken={data['full-tokenid']}={data['value']}"
            self.exchanges[self.recording["start"]["token_secret"]] = data["value"]
        if isinstance(data, str) and data.startswith("UPID:"):
            self._finish(data)

    def _compare(self, number: int, step: dict[str, Any]) -> None:
        answer, recorded = self._request(step), step["response"]
        body = self._parse(answer["text"])
        self.differences[number] = []
        self._note(number, "status", recorded["status"], answer["status"])
        self._note(number, "reason", recorded["reason"], self._back(answer["reason"]))
        self._note(number, "body", likeness(recorded["body"]), likeness(body))
        self._exchange_digest(recorded["body"], body)
        upid = body.get("data") if isinstance(body, dict) else None
        if "task" in step and isinstance(upid, str) and upid.startswith("UPID:"):
            self.exchanges[step["task"]["upid"]] = upid
            self.unfinished.append((step["task"]["polls"][-1]["at_s"], number, upid))

    def _exchange_digest(self, recorded: Any, ours: Any) -> None:
        old, new = (body["data"] if isinstance(body, dict) else None for body in (recorded, ours))
        if isinstance(old, dict) and isinstance(new, dict) and "digest" in old and "digest" in new:
            self.exchanges[old["digest"]] = new["digest"]

    def _note(self, number: int, what: str, recorded: Any, ours: Any) -> None:
        if recorded != ours:
            self.differences[number].append(f"{what}: recorded {recorded!r}, lab {ours!r}")

    def _finish_until(self, at_s: float) -> None:
        """Waits for the tasks that had ended by then when recorded, and compares their end and log."""
        for ended, number, upid in self.unfinished:
            if ended <= at_s:
                task = self.recording["steps"][number]["task"]
                status, log = self._finish(upid)
                self._note(number, "task", likeness(task["polls"][-1]["body"]), likeness(status))
                self._note(number, "log", told(task["log"]["body"]), told(log))
        self.unfinished = [one for one in self.unfinished if one[0] > at_s]

    def _finish(self, upid: str) -> tuple[Any, Any]:
        """The task's end and log."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe=':!@')}"
        while True:
            status = self._parse(self._send("GET", f"{path}/status", None, self._root)["text"])
            if status["data"]["status"] == "stopped":
                return status, self._parse(self._send("GET", f"{path}/log?limit=0", None, self._root)["text"])
            time.sleep(0.02)

    def _there(self, text: str) -> str:
        for theirs, ours in self.exchanges.items():
            text = text.replace(theirs, ours)
        return text

    def _back(self, text: str) -> str:
        for theirs, ours in self.exchanges.items():
            text = text.replace(ours, theirs)
        return text

    def _parse(self, text: str) -> Any:
        text = self._back(text)
        return json.loads(text) if text.startswith("{") else text

    def _request(self, step: dict[str, Any]) -> dict[str, Any]:
        request = step["request"]
        headers = dict(self._root) if step["client"] == "root" else {"Authorization": self.token}
        if "headers" in request:
            headers = {name: self._there(text) for name, text in request["headers"].items()}
        path = self._there(quote(request["path"], safe="/:@!"))
        if "query" in request:
            path += "?" + urlencode({key: self._there(value) for key, value in request["query"].items()})
        if "multipart" in request:
            content, kind = self._multipart(request["multipart"])
            return self._send(request["method"], path, content, headers | {"Content-Type": kind})
        if "params" not in request:
            return self._send(request["method"], path, None, headers)
        form = urlencode(
            [
                (key, self._there(value))
                for key, values in request["params"].items()
                for value in ([values] if isinstance(values, str) else values)
            ]
        ).encode()
        return self._send(
            request["method"], path, form, headers | {"Content-Type": "application/x-www-form-urlencoded"}
        )

    def _multipart(self, parts: list[dict[str, Any]]) -> tuple[bytes, str]:
        mark = secrets.token_hex(16)
        content = b""
        for part in parts:
            head = f'--{mark}\r\nContent-Disposition: form-data; name="{part["name"]}"'
            if "filename" in part:
                head += f'; filename="{part["filename"]}"\r\nContent-Type: application/octet-stream'
            value = (
                substitute(part["filename"], part["size"])
                if "filename" in part
                else self._there(part["value"]).encode()
            )
            content += head.encode() + b"\r\n\r\n" + value + b"\r\n"
        return content + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        """One request on a connection of its own, as recorded. The lab's certificate is not what is tested."""
        place = urlsplit(self.target.url)
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, context=unverified_context(), timeout=30
        )
        try:
            connection.request(method, f"/api2/json{path}", body, headers)
            answer = connection.getresponse()
            return {"status": answer.status, "reason": answer.reason, "text": answer.read().decode()}
        finally:
            connection.close()
