"""Where a server's records come from, decided at its start as K3s decides it: its own disk, a join, or a new cluster."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass

from . import node
from .certificates import CA_FILES, make_authorities
from .client import Client, Refused, WrongAuthority, trusted_authority
from .cluster import MEMBERS
from .home import Home, write
from .journal import Fatal, log
from .settings import Settings
from .store import Batch, Json, Store
from .tokens import Token, warn_of_short

FOUNDING = "standin/founding"  # what the first server decided: critical values, salted token hash
OTHER = "bootstrap data already found and encrypted with different token"


@dataclass(frozen=True)
class Origin:
    """One server at its start. A store of None means that it found none."""

    settings: Settings
    home: Home
    token: Token
    address: str

    @property
    def name(self) -> str:
        return node.node_name(self.settings)

    def open(self) -> tuple[Store, str | None]:
        """The records and the server's member name, which is None on SQLite."""
        store, member = self._open()
        self._check(store, member)
        return store, member

    def _open(self) -> tuple[Store, str | None]:
        """Data on disk wins over `server` and `cluster-init`; SQLite plus cluster-init is migrated."""
        home, settings = self.home, self.settings
        if settings.one("datastore-endpoint"):
            raise Fatal("stand-in: datastore-endpoint is not imitated")
        if home.member.exists():
            return Store(home.member), home.member_name.read_text().strip()
        if home.sqlite.exists() and not settings.on("cluster-init"):
            return Store(home.sqlite), None
        if not home.sqlite.exists() and settings.one("server"):
            return self._join()
        make_authorities(home.tls)
        if not settings.on("cluster-init"):
            return self._found(Store(home.sqlite), {}), None
        member = self._new_member()
        write(home.member_name, member, 0o600)
        if home.sqlite.exists():
            home.member.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            home.sqlite.replace(home.member)
        founder: Json = {"node": self.name, "address": self.address, "learner": False}
        return self._found(Store(home.member), {MEMBERS: {"members": {member: founder}}}), member

    def _new_member(self) -> str:
        return f"{self.name}-{secrets.token_hex(4)}"

    def _found(self, store: Store, more: dict[str, Json | None]) -> Store:
        salt = secrets.token_hex(8)
        founding: Json = {"critical": self.settings.critical, "salt": salt, "token": self._digest(salt)}
        records = {FOUNDING: store.records.get(FOUNDING, founding), **more}
        store.append(Batch(store.revision + 1, store.term, records))
        return store

    def _digest(self, salt: str) -> str:
        return hashlib.sha256(f"{salt}:{self.token.password}".encode()).hexdigest()

    def _check(self, store: Store, member: str | None) -> None:
        founding = store.records[FOUNDING]
        if founding["token"] != self._digest(founding["salt"]):
            raise Fatal(OTHER)
        members = store.records[MEMBERS]["members"] if member else {}
        if member and member not in members:
            raise Fatal("member has been permanently removed from the cluster")
        if member and members[member]["address"] != self.address:
            found = [f"{name}={entry['address']}" for name, entry in members.items()]
            text = f"this server is a not a member of the etcd cluster. Found {found}, expect: {member}={self.address}"
            raise Fatal(text)

    def _join(self) -> tuple[Store, str]:
        url = self.settings.one("server")
        preparing = "starting kubernetes: preparing server"
        warn_of_short(self.token)
        try:
            return self._joined(url)
        except WrongAuthority as problem:
            raise Fatal(f"{preparing}: {problem}") from None
        except Refused as problem:
            unauthorized = f"{preparing}: token is not valid: {problem}"
            raise Fatal(unauthorized if problem.status == 401 else problem.message) from None
        except OSError as problem:
            raise Fatal(f"{preparing}: failed to get CA certs: {url}: {problem}") from None

    def _joined(self, url: str) -> tuple[Store, str]:
        client = Client(url, trusted_authority(url, self.token), token=self.token)
        self._compare(json.loads(client.get("/v1-k3s/config")))
        member = self._new_member()
        answer = client.post("/v1-standin/join", {"node": self.name, "name": member, "address": self.address})
        for file in CA_FILES:
            write(self.home.tls / file, base64.b64decode(answer["files"][file]).decode(), 0o600)
        write(self.home.member_name, member, 0o600)
        store = Store(self.home.member)
        store.restore(answer["state"])
        return store, member

    def _compare(self, theirs: Json) -> None:
        wrong = [key for key, value in self.settings.critical.items() if theirs.get(key) != value]
        for key in wrong:
            log("warning", f"critical configuration mismatched: {key}")
        if wrong:
            text = "critical configuration value mismatch between servers"
            raise Fatal(f"failed to validate server configuration: {text}")
