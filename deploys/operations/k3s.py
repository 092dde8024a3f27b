"""K3s on one node: its binary, its files, its start, and the wait until there is evidence that it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra.api.operation import operation
from pyinfra.context import host

from deploys import k3s_files, membership, paths
from deploys.facts import cluster
from deploys.facts.memo import changing, forget
from deploys.facts.questions import UNIT
from deploys.membership import Found, Join, Member, Refuse
from deploys.operations.node import state_of, write
from deploys.published import placed
from deploys.running import Hopeless, failure, journal, limited, remote, wait
from deploys.token import pinned, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyinfra.api.host import Host

    from bootstrap.secrets import Secret
    from deploys.commands import Commands
    from deploys.facts.node import Node, Unit
    from deploys.settings import Settings
    from deploys.wanted import File

READY_SECONDS = 300
HOPELESS_RESTARTS = 20
"""K3s ends itself on many transient faults of a join and systemd starts it again; so often it is none."""

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
def server(settings: Settings, token: Secret) -> Commands:
    """One server, completely: files, (re)start when due, and the wait until it is Ready and votes. One at a time."""
    me = state_of(settings, host)
    peers = _peers(settings) if not me.member else {}
    decision = membership.decide(host.name, me, peers, first=settings.first_server)
    if isinstance(decision, Refuse):
        yield failure(f"{host.name}: {decision.reason}")
        return
    files = _server_files(settings, token, me, decision)
    yield from _run(settings, files, token)


@operation()
def agent(settings: Settings, token: Secret) -> Commands:
    """One agent: files, (re)start when due, and the wait until its Node is Ready."""
    known = (state_of(settings, _host(server)).sha256(paths.SERVER_CA) for server in settings.servers)
    ca = next((digest for digest in known if digest), None)
    if ca is None:
        yield failure(f"{host.name}: no server has a CA to pin yet; deploy to {settings.first_server} first")
        return
    yield from _run(settings, [pinned(token, ca), k3s_files.registering(settings, host.name)], token)


@operation()
def rejoining(settings: Settings) -> Commands:
    """A member's drop-in names another server, so that one whose data is lost joins again and founds nothing."""
    others = [name for name in settings.servers if name != host.name]
    if not others:
        host.noop("the only server")
        return
    wanted = k3s_files.joining(settings, host.name, others[0])
    me = state_of(settings, host)
    if not wanted.differs(me):
        host.noop(f"would join {others[0]} if its data were lost")
        return
    yield from write([wanted], me, host)


def _host(name: str) -> Host:
    return host.inventory.get_host(name)


def _peers(settings: Settings) -> dict[str, Node | None]:
    """The other servers, asked over SSH even if --limit left them out; None for one that does not answer."""
    peers: dict[str, Node | None] = {}
    for name in settings.servers:
        if name != host.name:
            answers = remote(_host(name), "true", 10)[0] if not _host(name).connected else True
            peers[name] = state_of(settings, _host(name)) if answers else None
    return peers


def _server_files(settings: Settings, token: Secret, me: Node, decision: Member | Join | Found) -> list[File]:
    """Token and drop-in. A member keeps the form that it has: both are read at the first start only."""
    name = host.name
    if isinstance(decision, Found):
        return [short(token), k3s_files.founding(settings, name)]
    if isinstance(decision, Join):
        return [pinned(token, decision.ca_sha256), k3s_files.joining(settings, name, decision.peer)]
    others = [peer for peer in settings.servers if peer != name]
    drop_ins = [
        *(k3s_files.joining(settings, name, peer) for peer in others),
        k3s_files.founding(settings, name),
    ]
    ca = me.sha256(paths.SERVER_CA)
    tokens = [*([pinned(token, ca)] if ca else []), short(token)]
    return [_kept(tokens, me), _kept(drop_ins, me)]


def _kept(forms: list[File], me: Node) -> File:
    return next((form for form in forms if not form.differs(me)), forms[0])


def _run(settings: Settings, files: list[File], token: Secret) -> Commands:
    """Write what differs, restart if K3s runs with something else than what is wanted, wait for evidence."""
    me, name = state_of(settings, host), UNIT[settings.nodes[host.name].role]
    unit = me.unit(name)
    files = [k3s_files.config(settings, host.name), k3s_files.unit(settings, host.name), *files]
    inputs = {file.path: file.sha256 for file in files if file.path != paths.K3S_FIRST_START}
    inputs |= {paths.K3S_BINARY: settings.k3s.sha256}
    due = _started(me, unit, inputs) != inputs
    yield from write(files, me, host)
    if due or unit.file != "enabled" or unit.reload_due:
        script = f"systemctl daemon-reload && systemctl -q enable {name}"
        restart = f"; systemctl -q reset-failed {name} 2>/dev/null; systemctl restart --no-block {name}"
        yield from changing(host, [limited(script + (restart if due else ""), 60)])
    if due or unit.active != "active":
        yield from _until_ready(settings, name, token)
    else:
        host.noop(f"{name} runs {settings.k3s.version} with this configuration")


def _started(me: Node, unit: Unit, inputs: Mapping[str, str]) -> Mapping[str, str | None]:
    """What K3s runs with, or is about to: right after a boot its start has recorded nothing yet."""
    if unit.starting and not me.started:
        return {path: me.sha256(path) for path in inputs}
    return me.started if unit.starting or unit.active == "active" else {}


def _until_ready(settings: Settings, unit: str, token: Secret) -> Commands:
    name, node = host.name, settings.nodes[host.name]
    machine, address = _host(name), str(settings.node_ips(host.name)[0])
    api = machine if node.role == "server" else _host(settings.first_server)

    def look() -> str | None:
        forget(host)
        done, text = remote(machine, f"systemctl show -p ActiveState,NRestarts {unit}")
        values = dict(line.partition("=")[::2] for line in text.splitlines())
        if done and int(values.get("NRestarts") or 0) >= HOPELESS_RESTARTS:
            raise Hopeless(f"{unit} ends again and again ({values['NRestarts']} times)")
        if values.get("ActiveState") != "active":
            return f"{unit} is {values.get('ActiveState', text)}"
        seen = cluster.parse(remote(api, cluster.SCRIPT, 60)[1].splitlines())
        return seen.missing(name, version=settings.k3s.version, address=address, voter=node.role == "server")

    yield from wait(
        host,
        f"{name} to be a working {node.role}",
        READY_SECONDS,
        look,
        journal(machine, unit, token.reveal(), known=KNOWN),
    )
