"""K3s on one node: its binary, its files, its start, and the wait until there is evidence that it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import k3s_files, membership, paths
from deploys.facts import cluster
from deploys.facts.memo import changing, forget
from deploys.facts.node import Node
from deploys.facts.questions import UNIT
from deploys.membership import Found, Join, Member, Refuse
from deploys.operations.node import state_of, write
from deploys.published import placed
from deploys.running import Commands, Hopeless, failure, journal, limited, remote, wait
from deploys.token import pinned, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyinfra.api.host import Host

    from bootstrap.secrets import Secret
    from deploys.facts.node import Unit
    from deploys.settings import Settings
    from deploys.wanted import File

READY_SECONDS = 300
HOPELESS_RESTARTS = 20
"""In one wait. K3s ends itself on many transient faults of a join and systemd starts it again; so often it is none."""

KNOWN = {
    "duplicate node name found": "the server was rebuilt and is still a member; on another server delete its Node"
    " (k3s kubectl delete node NAME), see that the member is gone, then run again",
    "Node password rejected": "the machine was rebuilt; on a server delete its Node and the Secret"
    " kube-system/NAME.node-password.k3s, then run again",
    "token CA hash does not match": "the node belongs to another cluster than the one that answers",
    "encrypted with different token": "the secret k3s.token is not the one that the cluster was founded with",
}
"""Messages of K3s whose remedy this deploy does not carry out itself."""


@operation()
def binary(settings: Settings) -> Commands:
    """The pinned executable, verified before it takes the old one's place."""
    if state_of(settings, host).sha256(paths.K3S_BINARY) == settings.k3s.sha256:
        host.noop(f"{paths.K3S_BINARY} is {settings.k3s.version}")
        return
    commands = placed(settings.k3s, paths.K3S_BINARY, 0o755, mirror="RZP_K3S_MIRROR", local="RZP_K3S_BINARY")
    yield from changing(host, commands)


@operation()
def server(settings: Settings, token: Secret, seconds: float = READY_SECONDS) -> Commands:
    """One server, completely: files, (re)start when due, and the wait until it is Ready and votes. One at a time."""
    me = state_of(settings, host)
    peers = {} if me.member else {peer: _asked(settings, peer, afresh=True) for peer in _others(settings)}
    decision = membership.decide(host.name, me, peers, first=settings.first_server)
    if isinstance(decision, Refuse):
        yield failure(f"{host.name}: {decision.reason}")
        return
    tokens = _token_forms(token, me)
    files = _server_files(settings, tokens, token, me, decision)
    yield from _run(settings, files, token, seconds, alike=tokens)


@operation()
def agent(settings: Settings, token: Secret, seconds: float = READY_SECONDS) -> Commands:
    """One agent: files, (re)start when due, and the wait until its Node is Ready."""
    known = (_asked(settings, server).sha256(paths.SERVER_CA) for server in settings.servers)
    ca = next((digest for digest in known if digest), None)
    if ca is None:
        yield failure(
            f"{host.name}: no server that answers has a CA to pin; deploy to {settings.first_server} first"
        )
        return
    files = [pinned(token, ca), k3s_files.registering(settings, host.name)]
    yield from _run(settings, files, token, seconds)


@operation()
def rejoining(settings: Settings, token: Secret) -> Commands:
    """A member whose data is lost joins another server again, founds nothing and trusts no other CA."""
    others, me = _others(settings), state_of(settings, host)
    if not others:
        host.noop("the only server")
        return
    if not me.read:
        yield failure(f"{host.name}: {membership.UNREAD}")
        return
    wanted = [k3s_files.joining(settings, host.name, others[0]), _token_forms(token, me)[0]]
    if not any(file.differs(me) for file in wanted):
        host.noop(f"would join {others[0]} if its data were lost")
        return
    yield from write(wanted, me, host)


def _host(name: str) -> Host:
    return host.inventory.get_host(name)


def _others(settings: Settings) -> list[str]:
    return [name for name in settings.servers if name != host.name]


def _asked(settings: Settings, server: str, *, afresh: bool = False) -> Node:
    """A server's state, asked over SSH even if --limit left it out; not `read` if it does not answer.

    `afresh`: without what was known before, because a cluster is founded for ever.
    """
    machine = _host(server)
    if afresh:
        forget(machine)
    if not machine.connected and not remote(machine, "true", 10)[0]:
        return Node()
    return state_of(settings, machine)


def _token_forms(token: Secret, me: Node) -> list[File]:
    """A server's token file, best form first. A member may have either: K3s takes the password out of both.

    The pinned one is what K3s itself keeps in server/token, and what makes it check the CA of whom it joins.
    """
    ca = me.sha256(paths.SERVER_CA) if me.member else None
    return [*([pinned(token, ca)] if ca else []), short(token)]


def _server_files(
    settings: Settings, tokens: list[File], token: Secret, me: Node, decision: Member | Join | Found
) -> list[File]:
    """Token and drop-in. A member keeps the forms that it has; `rejoining` brings the best ones later."""
    name = host.name
    if isinstance(decision, Found):
        return [short(token), k3s_files.founding(settings, name)]
    if isinstance(decision, Join):
        return [pinned(token, decision.ca_sha256), k3s_files.joining(settings, name, decision.peer)]
    drop_ins = [k3s_files.joining(settings, name, peer) for peer in _others(settings)]
    return [_kept(tokens, me), _kept([*drop_ins, k3s_files.founding(settings, name)], me)]


def _kept(forms: list[File], me: Node) -> File:
    return next((form for form in forms if not form.differs(me)), forms[0])


def _run(
    settings: Settings, files: list[File], token: Secret, seconds: float, alike: Sequence[File] = ()
) -> Commands:
    """Write what differs, restart if K3s runs with something else than what is wanted, wait for evidence.

    `alike`: token files that are the same to K3s; to have been started with another one of them is no reason.
    """
    me, name = state_of(settings, host), UNIT[settings.nodes[host.name].role]
    if not me.read:
        yield failure(f"{host.name}: {membership.UNREAD}")
        return
    unit = me.unit(name)
    files = [k3s_files.config(settings, host.name), k3s_files.unit(settings, host.name), *files]
    inputs = {file.path: file.sha256 for file in files if file.path != paths.K3S_FIRST_START}
    inputs |= {paths.K3S_BINARY: settings.k3s.sha256}
    started = dict(_started(me, unit, inputs))
    if {started.get(paths.K3S_TOKEN), inputs[paths.K3S_TOKEN]} <= {file.sha256 for file in alike}:
        started[paths.K3S_TOKEN] = inputs[paths.K3S_TOKEN]
    due = started != inputs
    yield from write(files, me, host)
    if due or unit.file != "enabled" or unit.reload_due:
        script = f"systemctl daemon-reload && systemctl -q enable {name}"
        restart = f"; systemctl -q reset-failed {name} 2>/dev/null; systemctl restart --no-block {name}"
        yield from changing(host, [limited(script + (restart if due else ""), 60)])
    if due or unit.active != "active":
        yield from _until_ready(settings, name, token, seconds)
    else:
        host.noop(f"{name} runs {settings.k3s.version} with this configuration")


def _started(me: Node, unit: Unit, inputs: Mapping[str, str]) -> Mapping[str, str | None]:
    """What K3s runs with, or is about to: right after a boot its start has recorded nothing yet."""
    if unit.starting and not me.started:
        return {path: me.sha256(path) for path in inputs}
    return me.started if unit.starting or unit.active == "active" else {}


def _until_ready(settings: Settings, unit: str, token: Secret, seconds: float) -> Commands:
    name, node = host.name, settings.nodes[host.name]
    machine, address = _host(name), str(settings.node_ips(host.name)[0])
    api = machine if node.role == "server" else _host(settings.first_server)
    restarts: list[int] = []

    def look() -> str | None:
        forget(host)
        done, text = remote(machine, f"systemctl show -p ActiveState,NRestarts {unit}")
        values = dict(line.partition("=")[::2] for line in text.splitlines())
        if done:
            restarts.append(int(values.get("NRestarts") or 0))
        # those of an earlier run, whose cause may be gone, do not count
        if restarts and (often := restarts[-1] - min(restarts)) >= HOPELESS_RESTARTS:
            raise Hopeless(f"{unit} ends again and again ({often} times)")
        if values.get("ActiveState") != "active":
            return f"{unit} is {values.get('ActiveState', text)}"
        seen = cluster.parse(remote(api, cluster.SCRIPT, 60)[1].splitlines())
        return seen.missing(name, version=settings.k3s.version, address=address, voter=node.role == "server")

    yield from wait(
        host,
        f"{name} to be a working {node.role}",
        seconds,
        look,
        journal(machine, unit, token.reveal(), known=KNOWN),
    )
