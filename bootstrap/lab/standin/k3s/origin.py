"""Where a server's state comes from, decided at its start as K3s decides it: its own disk, a join, or a new cluster."""

import json
import secrets
from http import HTTPStatus

from . import objects
from .certificates import make_authority
from .client import Client, Refused, trusted_authority
from .cluster import REMOVED
from .files import Home, write
from .journal import Fatal, log
from .kinds import NAMESPACE
from .settings import Settings
from .state import State
from .tokens import Token, digest

OTHER = "bootstrap data already found and encrypted with different token"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Origin:
    """One server at its start."""

    def __init__(self, settings: Settings, home: Home, token: Token) -> None:
        self.settings, self.home, self.token = settings, home, token

    def open(self) -> tuple[State, str]:
        """The state and the server's member name. Data on disk wins over `server` and `cluster-init`."""
        if self.home.state.exists():
            state, member = State.read(self.home.state), self.home.member.read_text().strip()
        else:
            member = f"{self.settings.name}-{secrets.token_hex(4)}"
            state = self._join(member) if self.settings.one("server") else self._found(member)
            for name, content in state.founding["ca"].items():
                write(self.home.tls / name, content)
            write(self.home.member, member)
            state.write(self.home.state)
        self._check(state, member)
        return state, member

    def _check(self, state: State, member: str) -> None:
        founding = state.founding
        if founding["token"] != digest(founding["salt"], self.token.password):
            raise Fatal(OTHER)
        if member not in state.members:
            raise Fatal(REMOVED)
        if state.members[member]["address"] != self.settings.url:
            found = [f"{name}={entry['address']}" for name, entry in state.members.items()]
            expected = f"Found {found}, expect: {member}={self.settings.url}"
            raise Fatal(f"this server is a not a member of the etcd cluster. {expected}")

    def _found(self, member: str) -> State:
        if self.settings.one("cluster-init") != "true":
            raise Fatal(
                "stand-in: neither cluster-init nor server is given, and a server on SQLite is not imitated"
            )
        make_authority(self.home.tls)
        salt = secrets.token_hex(8)
        authority = {name: (self.home.tls / name).read_text() for name in ("server-ca.crt", "server-ca.key")}
        founding = {"ca": authority, "critical": self.settings.critical, "salt": salt}
        state = State(founding | {"token": digest(salt, self.token.password)}, revision=1)
        state.members[member] = {"node": self.settings.name, "address": self.settings.url, "learner": False}
        for name in NAMESPACES:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            objects.keep(state, NAMESPACE, namespace)
        return state

    def _join(self, member: str) -> State:
        url, preparing = self.settings.one("server"), "starting kubernetes: preparing server"
        try:
            client = Client(url, trusted_authority(url, self.token), self.token.password)
            self._compare(json.loads(client.get("/v1-k3s/config")))
            request = {"node": self.settings.name, "member": member, "address": self.settings.url}
            return State(**client.post("join", request))
        except Refused as problem:
            wrong = "token is not valid: " if problem.status == HTTPStatus.UNAUTHORIZED else ""
            raise Fatal(f"{preparing}: {wrong}{problem}") from None
        except OSError as problem:
            raise Fatal(f"{preparing}: failed to get CA certs: {url}: {problem}") from None

    def _compare(self, theirs: dict[str, str]) -> None:
        wrong = [key for key, value in self.settings.critical.items() if theirs.get(key) != value]
        for key in wrong:
            log("warning", f"critical configuration mismatched: {key}")
        if wrong:
            text = "critical configuration value mismatch between servers"
            raise Fatal(f"failed to validate server configuration: {text}")
