"""`k3s agent`: find a server, check its CA against the token, register, keep reporting."""

import json
import time
from typing import Any

from . import node, tokens
from .client import Client, Refused, WrongAuthority, trusted_authority
from .journal import Fatal, log
from .settings import Settings
from .store import Json


class Agent:
    """Keeps its own list of servers, and so outlives the configured one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        raw = settings.secret("token")
        if not raw:
            raise Fatal("Error: --token is required")
        if not settings.one("server"):
            raise Fatal("Error: --server is required")
        self.token = tokens.parse(raw, "node")
        self.list = settings.data / "agent/etc/k3s-agent-load-balancer.json"
        self.authority = ""
        self.clients: dict[str, Client] = {}

    def servers(self) -> list[str]:
        known = json.loads(self.list.read_text())["ServerAddresses"] if self.list.exists() else []
        return list(dict.fromkeys([self.settings.one("server").rstrip("/"), *known]))

    def learned(self, servers: list[str]) -> None:
        if servers and set(self.servers()) != {self.settings.one("server").rstrip("/"), *servers}:
            self.list.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.list.write_text(json.dumps({"ServerURL": servers[0], "ServerAddresses": servers}))

    def ask(self, name: str, body: Json) -> Any:
        """The first server that answers."""
        problem: OSError = ConnectionError("no server is known")
        for url in self.servers():
            try:
                if url not in self.clients:
                    self.clients[url] = Client(url, self.authority, token=self.token)
                return self.clients[url].post(f"/v1-standin/{name}", body)
            except OSError as unreachable:
                problem = unreachable
        raise problem

    def validate(self) -> None:
        """Retries for ever: a wrong token keeps the unit `activating`, the reason is in the journal."""
        while True:
            for url in self.servers():
                try:
                    self.authority = trusted_authority(url, self.token)
                    Client(url, self.authority, token=self.token).get("/v1-k3s/config")
                except (WrongAuthority, OSError) as problem:
                    log("error", f"Failed to validate connection to cluster at {url}: {problem}")
                except Refused as problem:
                    words = f"token is not valid: {problem}"
                    log("error", f"Failed to validate connection to cluster at {url}: {words}")
                else:
                    return
            time.sleep(node.RETRY_EVERY)

    def run(self, version: str) -> None:
        registration = node.registration(self.settings, version, None)
        tokens.warn_of_short(self.token)
        self.validate()
        self.learned(node.register(self.ask, registration)["servers"])
        node.notify_ready()
        log("info", "k3s agent is up and running (stand-in)")
        node.keep_alive(self.ask, registration["name"], self.learned)
