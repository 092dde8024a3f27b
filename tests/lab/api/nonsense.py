"""Nonsense for every endpoint that the lab serves, and for its wire, drawn from a seed."""

from __future__ import annotations

import json
import random
import re
from typing import Any
from urllib.parse import quote, urlencode

from bootstrap.lab.pve.server import routes

BASE = "/api2/json"
PARTS: dict[str, list[str]] = {
    "node": [*["pve1"] * 9, *["pve2"] * 5, "nope", "é", "a b"],
    "vmid": [*["100", "101", "102", "103"] * 5, "0", "99", "999999999", "1" * 30, "x", "-1", "１００"],
    "storage": ["local", "local", "vmdata", "vmdata", "nope", "..", "loc al"],
    "volume": ["local:iso/a.iso", "vmdata:100/vm-100-disk-0.raw", "vmdata:101/vm-101-disk-0.qcow2", "../../x", "local:", ":", "iso/é.iso", "a/b/c/d"],
    "upid": ["UPID:pve1:x", "UPID:::::::::", "UPID:pve1:000003E9:00000000:6AB00000:qmstart:100:root@pam:", "%00"],
    "userid": ["fuzz@pve", "x", "@", "a@b@c"],
    "poolid": ["fuzz", "é"],
    "tokenid": ["fuzz", "x!y"],
    "roleid": ["Fuzz", "Administrator"],
}  # fmt: skip
NASTY: list[Any] = [
    "", "0", "1", "-1", "2", "1.5", "1e999", "nan", "99999999999999999999", "٣", "é" * 200, "x" * 5000, "\x00", "\n", "a\r\nb: c",
    "true", "None", " ", ",", ",,=,=", "=", "a=b=c", ";", "order=", "order=;;scsi0", "order=net0;scsi99", "uuid=", "../../../etc/passwd",
    "local:iso/a.iso,media=cdrom", "local:iso/../a.iso", "vmdata:1", "vmdata:0", "vmdata:-1", "vmdata:1e9", "vmdata:999999999999", "vmdata:",
    "vmdata:1,format=qcow2", "vmdata:1,format=../x", "vmdata:1,size=", "vmdata:0,import-from=local:import/debian.qcow2", "vmdata:0,import-from=",
    "vmdata:0,import-from=/etc/passwd", "none", "none,media=cdrom", "cdrom", "file=,media=cdrom", ",media=cdrom", "virtio", "virtio,bridge=vmbr0,tag=x",
    "virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=,bridge=", "bridge=vmbr0", "scsi0", "unused0", "net0,,tags", "+1G", "5G", "1K", "+99999T", "host",
    "user@pve", "root@pam!x", "PVE:root@pam:zz::yy", "PVE:::", "http://127.0.0.1:1/a.iso", "http://127.0.0.1:99999/a.iso", "http://[::1", "http://",
    "https://127.0.0.1:x/a.iso", "http://127.0.0.1:1\x00/a.iso", "sha256", "ff", "iso", "images", "a.iso", "PVEAuditor", "/vms", "vm", "100", "101,102",
    "current=2048", "current=x", "enabled=1", "\ud800", "%", "%zz", "%00", "🙂", None, True, False, 0, -1, 1.5, 10**30, [], [1, 2], ["a"], {}, {"a": {"b": []}},
]  # fmt: skip
TYPES = ["application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data; boundary=x", "", "é", "application/json; charset=nope", "multipart/form-data"]  # fmt: skip
SHAPES = [b"[]", b"null", b"1", b'"x"', b"{", b'{"a": ', b"[[1]]", b'{"": 1}', b'{"vmid": {"a": 1}}', b"\xff\xfe", b"[[1,2]]", b'["ab"]', b"[" * 5000]  # fmt: skip
MULTIPART = [
    b"--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="content"\r\n\r\niso\r\n--x\r\nContent-Disposition: form-data; name="filename"; filename="a.iso"\r\n\r\nabc\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="filename"; filename="../../a.iso"\r\n\r\nabc\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="content"\r\n\r\nimport\r\n--x\r\nContent-Disposition: form-data; name="filename"; filename="a.qcow2"\r\n\r\nQFI\xfb\r\n--x--\r\n',
    b"--x\r\n\r\n\r\n--x--\r\n",
    b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="filename"; filename="a.iso"\r\n\r\nabc',
    b'--x\r\nContent-Transfer-Encoding: nope\r\nContent-Disposition: form-data; name="content"\r\n\r\nabc\r\n--x--\r\n',
    b'--x\r\nContent-Type: text/plain; charset=nope\r\nContent-Disposition: form-data; name="content"\r\n\r\n\xff\r\n--x--\r\n',
    b"garbage",
]  # fmt: skip

GOOD: dict[str, list[str]] = {
    "vmid": ["100", "101", "102", "103"], "node": ["pve1"], "target": ["pve2", "pve1"], "name": ["one", "two.example"], "tags": ["a;b", "rzp"],
    "cores": ["1", "2", "999"], "memory": ["512", "2048"], "net": ["virtio,bridge=vmbr0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5"],
    "scsi": ["vmdata:1", "vmdata:0,import-from=local:import/debian.qcow2", "vmdata:2,format=qcow2", "none,media=cdrom", "local:iso/a.iso,media=cdrom", "vmdata:100/vm-100-disk-0.raw"],
    "boot": ["order=scsi0", "order=scsi0;net0", "order="], "delete": ["scsi0", "scsi1", "cores", "net0,tags", "unused0", "description", "1"], "revert": ["cores", "memory"],
    "description": ["text\n", "", "é"], "onboot": ["1", "0"], "protection": ["0"], "start": ["1"], "size": ["+1G", "5G", "1K"], "disk": ["scsi0", "scsi1", "virtio0"],
    "cpu": ["host", "x86-64-v2-AES,flags=+aes"], "ipconfig": ["ip=10.0.0.2/24,gw=10.0.0.1"], "smbios": ["uuid=5b1c7e0e-2f0a-5d6c-8b1e-0123456789ab"], "serial": ["socket"],
    "userid": ["fuzz@pve"], "poolid": ["fuzz"], "roleid": ["Fuzz"], "privs": ["VM.Audit,VM.Allocate"], "path": ["/vms", "/vms/100", "/"], "roles": ["Fuzz", "PVEAuditor"],
    "users": ["fuzz@pve"], "tokens": ["fuzz@pve!fuzz"], "vms": ["100", "101,102"], "pool": ["fuzz"], "username": ["root@pam", "fuzz@pve"], "password": ["x" * 8],
    "url": ["http://127.0.0.1:1/a.iso", "http://127.0.0.1:99999/a.iso", "http://[::1", "https://127.0.0.1:x/a.iso"], "filename": ["a.iso", "b.qcow2"], "content": ["iso", "images", "import,images"],
    "purge": ["1"], "timeout": ["0", "1"], "forceStop": ["1"], "online": ["1"], "with-local-disks": ["1"], "type": ["vm", "node"], "limit": ["0", "5"], "command": ["id"], "pid": ["1"],
}  # fmt: skip

SENSE: list[tuple[str, str, dict[str, Any]]] = [
    *[("POST", "/nodes/pve1/qemu", {"scsi0": "vmdata:0,import-from=local:import/debian.qcow2", "net0": "virtio,bridge=vmbr0"})] * 6,
    ("PUT", "/storage/vmdata", {"content": "images,rootdir", "disable": 0}),
    ("PUT", "/storage/local", {"content": "iso,import,images", "disable": 0}),
]  # fmt: skip
"""Now and then somebody makes the machines anew and puts the storages right."""


def _good(name: str) -> list[str]:
    """Values that fit; of the numbered settings those of the first two."""
    stem = name.rstrip("0123456789")
    return GOOD.get(name) or (GOOD.get(stem, []) if name[len(stem) :] in ("0", "1") else [])


class Nonsense:
    """Requests as bytes, drawn from a seed. `ticket` are the headers of somebody who may do everything."""

    def __init__(self, seed: int, ticket: dict[str, str], token: str) -> None:
        self._draw = random.Random(seed)
        written = [
            route for route in routes() if route.method != "GET" and "vmid" in route.pattern.groupindex
        ]
        self._routes = [
            *routes(),
            *[route for route in routes() if "qemu" in route.pattern.pattern],
            *written * 2,
        ]
        self._ticket, self._token = ticket, token
        self._upids = PARTS["upid"]

    def next(self) -> tuple[bytes, float]:
        """A request, and the seconds that its answer may take: a broken one may get none."""
        kind = self._draw.random()
        if kind < 0.06:
            method, path, values = self._draw.choice(SENSE)
            body = urlencode(values | ({"vmid": self._draw.randrange(100, 104)} if method == "POST" else {}))
            return self._bytes(method, path, body.encode(), TYPES[0]), 20.0
        if kind < 0.72:
            return self._endpoint(), 20.0
        return (self._shape(), 20.0) if kind < 0.87 else (self._wire(), 0.1)

    def learn(self, answer: bytes) -> None:
        """Tasks that were begun are asked for later."""
        if found := re.match(rb'{"data": "(UPID:[^"]+)"', answer):
            self._upids = [*self._upids[-9:], found[1].decode()]

    def _headers(self) -> dict[str, str]:
        chance = self._draw.random()
        if chance < 0.93:
            return dict(self._ticket)
        bad = ["PVEAPIToken=", "PVEAPIToken=x!y=z", "PVEAPIToken rzp@pve!infra=é", "PVEAuthCookie=PVE:::", "Bearer x", "Basic eA==", "", f"PVEAPIToken={self._token}"]  # fmt: skip
        cookies = [
            "",
            "PVEAuthCookie=",
            "PVEAuthCookie=PVE:root@pam:zz::0",
            "PVEAuthCookie=%FF",
            "PVEAuthCookie=PVE:root@pam:-1::é",
            ";;=;",
        ]
        return {
            "Authorization": self._draw.choice(bad),
            "Cookie": self._draw.choice(cookies),
            "CSRFPreventionToken": "é:x",
        }

    def _path(self) -> tuple[str, Any]:
        route = self._draw.choice(self._routes)
        filled = re.sub(
            r"\(\?P<(\w+)>[^)]*\)",
            lambda m: quote(self._draw.choice(self._part(m[1])), safe="/:%!@"),
            route.pattern.pattern,
        )
        return re.sub(r"\\(.)", r"\1", filled), route

    def _part(self, name: str) -> list[str]:
        return self._upids if name == "upid" else PARTS.get(name, ["x"])

    def _params(self, route: Any) -> dict[str, Any]:
        """Half of the requests make sense but for one value, if that; the others are drawn from all that is nasty."""
        sane = self._draw.random() < 0.5
        known = [name for name in route.rules if _good(name)] if sane else list(route.rules)
        chosen = self._draw.sample(known, min(len(known), self._draw.randrange(5)))
        names = {*chosen, *(name for name, rule in route.rules.items() if rule.required)}
        given = {name: self._value(name, route.rules[name], sane=sane) for name in sorted(names)}
        if not sane and self._draw.random() < 0.15:
            given[self._draw.choice(["nope", "", "é", "vmid\x00", "node", "x" * 300])] = self._draw.choice(
                NASTY
            )
        if given and self._draw.random() < 0.2:
            name = self._draw.choice(list(given))
            given |= {name: self._draw.choice(NASTY)}
        if given and self._draw.random() < 0.1:
            given.pop(self._draw.choice(list(given)))
        return given

    def _value(self, name: str, rule: Any, *, sane: bool) -> Any:
        if not sane and self._draw.random() < 0.5:
            return self._draw.choice(NASTY)
        if rule.choices:
            return self._draw.choice(rule.choices)
        if good := _good(name):
            return self._draw.choice(good)
        return str(self._draw.choice([0, 1, 1, 2, 30])) if rule.kind != "string" else self._draw.choice(NASTY)

    def _endpoint(self) -> bytes:
        path, route = self._path()
        given = self._params(route)
        as_json = route.method in ("POST", "PUT") and self._draw.random() < 0.3
        if as_json:
            return self._bytes(route.method, path, json.dumps(given).encode(), "application/json")
        form = urlencode({key: _text(value) for key, value in given.items()}).encode()
        if route.upload:
            return self._bytes(
                route.method, path, self._draw.choice(MULTIPART), "multipart/form-data; boundary=x"
            )
        if route.method in ("POST", "PUT"):
            return self._bytes(route.method, path, form, "application/x-www-form-urlencoded")
        return self._bytes(route.method, f"{path}?{form.decode()}", b"", "")

    def _shape(self) -> bytes:
        """An endpoint with a body of the wrong shape or type."""
        path, route = self._path()
        body = self._draw.choice(
            [*SHAPES, *MULTIPART, b"x" * 600_000, bytes(self._draw.randrange(256) for _ in range(40))]
        )
        return self._bytes(
            self._draw.choice([route.method, "POST", "PUT"]), path, body, self._draw.choice(TYPES)
        )

    def _bytes(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        headers = {"Host": "x", **self._headers()} | ({"Content-Type": kind} if kind else {})
        headers |= {"Content-Length": str(len(body))} if body else {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {BASE}{path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def _wire(self) -> bytes:
        """Bytes that are hardly HTTP; and requests that end before they should, after which the client hangs up."""
        good = self._endpoint()
        head, _, body = good.partition(b"\r\n\r\n")
        noise = bytes(self._draw.randrange(256) for _ in range(self._draw.randrange(1, 200)))
        return self._draw.choice(
            [
                noise,
                noise + b"\r\n\r\n",
                good[: self._draw.randrange(1, len(good))],
                good.replace(b"HTTP/1.1", self._draw.choice([b"HTTP/1.0", b"HTTP/9.9", b"", b"HTTP/1.1 x"]), 1),
                self._draw.choice([b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"G\x00T", b"X" * 5000]) + b" " + good.partition(b" ")[2],
                head + b"\r\nX-Long: " + b"x" * self._draw.choice([8000, 9000, 70_000]) + b"\r\n\r\n" + body,
                head + b"".join(b"\r\nX-%d: y" % n for n in range(500)) + b"\r\n\r\n" + body,
                head + self._draw.choice([b"\r\nBad Header", b"\r\n: x", b"\r\nX\xff: y", b"\r\nX: \xff\xfe", b"\r\nContent-Length: -1", b"\r\nContent-Length: 9, 9", b"\r\nContent-Length: x"]) + b"\r\n\r\n" + body,
                head + b"\r\nTransfer-Encoding: " + self._draw.choice([b"chunked", b"gzip", b"chunked, chunked", b"x"]) + b"\r\n\r\n" + self._draw.choice([b"0\r\n\r\n", b"zz\r\n", b"5\r\nab"]),
                head + b"\r\nContent-Encoding: gzip\r\nExpect: " + self._draw.choice([b"100-continue", b"x"]) + b"\r\n\r\n" + body,
                good.replace(b"/api2/json", self._draw.choice([b"", b"//api2//json", b"/api2/json/../..", b"/%61pi2/json", b"http://x/api2/json", b"*", b"/api2/json/%", b"/api2/json/%ff%fe", b"/api2/json/%00", b"/" + b"a" * 9000, "/é".encode(), b"/api2/json?%=&;;=&a=%ff"]), 1),
            ]
        )  # fmt: skip


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()
