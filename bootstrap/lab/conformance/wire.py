"""Sends recorded requests to a lab. What the recording and the lab call differently (checksums of the files, the file server's
address, UPIDs, digests, secrets, the guests' process numbers) is exchanged in both directions."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from bootstrap.lab.pve.certificate import unverified_context

if TYPE_CHECKING:
    from bootstrap.lab.conformance.recording import Recording

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Answer:
    """One answer. Of the task that it started: the status while it ran, if that was seen, at its end, and the log."""

    status: int
    reason: str
    body: Any
    running: Answer | None = None
    end: Answer | None = None
    log: Answer | None = None


@dataclass
class Wire:
    """The connection to the lab at `url`. `exchanges` are texts of the recording with the lab's for them."""

    url: str
    recording: Recording
    root_password: str
    exchanges: dict[str, str] = field(default_factory=dict)
    token: str = ""
    _root: dict[str, str] = field(default_factory=dict)
    _pids: dict[str, str] = field(default_factory=dict)

    def login(self) -> None:
        form = urlencode({"username": "root@pam", "password": self.root_password}).encode()
        data = json.loads(self._send("POST", "/access/ticket", form, FORM)[2])["data"]
        cookie = f"PVEAuthCookie={quote(data['ticket'], safe='')}"
        self._root = {"Cookie": cookie, "CSRFPreventionToken": data["CSRFPreventionToken"]}

    def there(self, text: str) -> str:
        for theirs, ours in self.exchanges.items():
            text = text.replace(theirs, ours)
        return text

    def back(self, text: str) -> str:
        for theirs, ours in self.exchanges.items():
            text = text.replace(ours, theirs)
        return text

    def ask(self, request: dict[str, Any], client: str) -> Answer:
        """The lab's answer, in the recording's words."""
        headers = dict(self._root) if client == "root" else {"Authorization": self.token}
        if "headers" in request:
            headers = {name: self.there(text) for name, text in request["headers"].items()}
        path = self.there(quote(request["path"], safe="/:@!"))
        if "query" in request:
            path += "?" + self._form(request["query"])
        content: bytes | None = None
        if "multipart" in request:
            content, kind = self._multipart(request["multipart"])
            headers["Content-Type"] = kind
        elif "params" in request:
            content = self._form(self._with_password(request)).encode()
            headers |= FORM
        status, reason, text = self._send(request["method"], path, content, headers)
        return Answer(status=status, reason=self.back(reason), body=self._parse(text))

    def learn(self, recorded: dict[str, Any], ours: Answer) -> None:
        """Keeps what both sides call the same."""
        theirs, mine = (
            body["data"] if isinstance(body, dict) else None for body in (recorded["body"], ours.body)
        )
        if isinstance(theirs, str) and isinstance(mine, str) and mine.startswith("UPID:"):
            self.exchanges[theirs] = mine
        if not (isinstance(theirs, dict) and isinstance(mine, dict)):
            return
        for key in ("digest", "value", "ticket", "CSRFPreventionToken"):
            if isinstance(theirs.get(key), str) and isinstance(mine.get(key), str):
                self.exchanges[theirs[key]] = mine[key]
                if key == "ticket":
                    self.exchanges[quote(theirs[key], safe="")] = quote(mine[key], safe="")
        if theirs.keys() == mine.keys() == {"pid"}:
            self._pids[str(theirs["pid"])] = str(mine["pid"])
        if "full-tokenid" in mine and theirs.get("value") == self.recording.start.get("token_secret"):
            self.token = f"PVEAPIToken={mine['full-tokenid']}={mine['value']}"

    def task(self, upid: str, client: str) -> tuple[Answer, Answer]:
        """The task's status and log, as they are now."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{upid}"
        log = {"method": "GET", "path": f"{path}/log", "query": {"limit": "0"}}
        return self.ask({"method": "GET", "path": f"{path}/status"}, client), self.ask(log, client)

    def _with_password(self, request: dict[str, Any]) -> dict[str, Any]:
        """Root's password is the one thing of the recording that nobody wrote down."""
        params = dict(request["params"])
        if request["path"] == "/access/ticket" and params.get("username") == "root@pam":
            right = next(
                (
                    one
                    for one in self.recording.exchanges()
                    if one["request"] is request and one["response"]["status"] == 200
                ),
                None,
            )
            params["password"] = self.root_password if right else params.get("password", "")
        return params

    def _form(self, values: dict[str, Any]) -> str:
        pairs: list[tuple[str, str]] = []
        for key, given in values.items():
            for value in given if isinstance(given, list) else [given]:
                pairs.append((key, self._pids.get(str(value), str(value)) if key == "pid" else str(value)))
        return urlencode([(key, self.there(value)) for key, value in pairs])

    def _multipart(self, parts: list[dict[str, Any]]) -> tuple[bytes, str]:
        mark = secrets.token_hex(16)
        content = b""
        for part in parts:
            head = f'--{mark}\r\nContent-Disposition: form-data; name="{part["name"]}"'
            value = self.there(str(part.get("value", ""))).encode()
            if "filename" in part:
                head += f'; filename="{part["filename"]}"\r\nContent-Type: application/octet-stream'
                value = self.recording.content(part["filename"], part["size"], part.get("sha256", ""))
            content += head.encode() + b"\r\n\r\n" + value + b"\r\n"
        return content + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"

    def exchange_files(self, server: str) -> None:
        """Notes the sums of the files that stand for the recorded ones, and the address of their server."""
        recording, surroundings = self.recording, self.recording.start["http_server"]
        self.exchanges[urlsplit(surroundings["base"]).netloc] = urlsplit(server).netloc
        for name, file in surroundings["files"].items():
            ours = hashlib.sha512(recording.content(name, file["size"], file["sha512"])).hexdigest()
            self.exchanges |= {file["sha512"]: ours, file["sha512"].upper(): ours.upper()}
        for request in recording.requests():
            for part in request.get("multipart", []):
                if "sha256" in part:
                    content = recording.content(part["filename"], part["size"], part["sha256"])
                    self.exchanges[part["sha256"]] = hashlib.sha256(content).hexdigest()

    def _parse(self, text: str) -> Any:
        text = self.back(text)
        return json.loads(text) if text.startswith("{") else text

    def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str, str]:
        """One request on a connection of its own, as recorded. The lab's certificate is not what is tested."""
        place = urlsplit(self.url)
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, context=unverified_context(), timeout=60
        )
        try:
            connection.request(method, f"/api2/json{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.reason, answer.read().decode()
        finally:
            connection.close()
