"""`k3s agent`: find a server, check its CA against the token, register, keep reporting."""

import time
from typing import NoReturn

from .client import Client, Refused, trusted_authority
from .journal import Fatal, log
from .node import EVERY, Node, notify_ready
from .settings import Settings
from .tokens import Token


def run(settings: Settings) -> NoReturn:
    token, url = Token.parse(settings.token), settings.one("server")
    if not url:
        raise Fatal("Error: --server is required")
    node = Node(settings, url, token.password, None)
    node.authority = _authority(node, token)
    node.register()
    notify_ready()
    log("info", "k3s agent is up and running (stand-in)")
    node.keep_alive()


def _authority(node: Node, token: Token) -> str:
    """Tries for ever: a wrong token keeps the unit `activating`, the reason is in the journal."""
    while True:
        for url in node.servers:
            try:
                authority = trusted_authority(url, token)
                Client(url, authority, token.password).get("/v1-k3s/config")
            except (OSError, Refused) as problem:
                log("error", f"Failed to validate connection to cluster at {url}: {problem}")
            else:
                return authority
        time.sleep(EVERY)
