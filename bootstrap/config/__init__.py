"""The environments, typed: every module here that binds `environment` is one.

`load` imports one and checks it against all the others; `unready` names what still keeps it from being used.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from bootstrap.config.base import Environment
from bootstrap.errors import InvalidEnvironment

# Modules that are no environment: the shapes, and the values that environments share.
_SHAPES = frozenset(
    {"access", "base", "components", "ingress", "model", "network", "pool", "proxmox", "software"}
)
_VALUES = frozenset({"pins", "site"})
# RFC 5737 and RFC 3849: addresses for documentation; RFC 2606 and RFC 6761: names for it.
_DOCUMENTATION = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)
_EXAMPLE = (".example", ".example.org", ".example.com", ".example.net", ".invalid")


def names() -> list[str]:
    """The environments that are there."""
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} - _SHAPES - _VALUES)


def load(name: str) -> Environment:
    """The environment of that name, checked alone and against the others; raises InvalidEnvironment."""
    if name not in names():
        raise InvalidEnvironment(
            [f"{name}: no such environment; there are {', '.join(names())} (bootstrap/config/)"]
        )
    wanted = _module(name)
    others = [_module(other) for other in names() if other != name]
    faults = clashes([wanted, *others])
    if faults:
        raise InvalidEnvironment(faults)
    return wanted


def _module(name: str) -> Environment:
    try:
        module: ModuleType = importlib.import_module(f"bootstrap.config.{name}")
        if name == "demo":  # a lab may have started since the first import
            module = importlib.reload(module)
    except ValidationError as error:
        raise InvalidEnvironment(list(fault_lines(_place(error), error))) from None
    except (ValueError, TypeError, NameError, AttributeError, SyntaxError, ImportError) as error:
        raise InvalidEnvironment(
            [f"{_place(error)}: {type(error).__name__}: {error}; correct that line"]
        ) from None
    environment = getattr(module, "environment", None)
    if not isinstance(environment, Environment) or environment.name != name:
        raise InvalidEnvironment(
            [f"bootstrap/config/{name}.py: must bind `environment = Environment(name={name!r}, …)`"]
        )
    return environment


def _place(error: Exception) -> str:
    """The line of an environment or of site.py in which it happened."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"bootstrap/config/{Path(error.filename).name}:{error.lineno}"
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [(path.name, line) for path, line in frames if path.parent == Path(__file__).parent]
    name, line = next(
        (f for f in reversed(ours) if Path(f[0]).stem not in {"__init__", *_SHAPES}),
        ours[-1],
    )
    return f"bootstrap/config/{name}:{line}"


def fault_lines(place: str, error: ValidationError) -> Iterable[str]:
    """Pydantic's errors as lines of place, value, fix."""
    for fault in error.errors():
        field = ".".join([error.title, *map(str, fault["loc"])])
        said = fault["msg"].removeprefix("Value error, ")
        for line in said.splitlines():
            if fault["type"] == "extra_forbidden":
                yield f"{place}: {field} is no known key; remove it or correct its spelling"
            elif fault["type"] == "value_error" and fault["loc"] == ():
                yield f"{place}: {line}"
            elif isinstance(fault["input"], (dict, BaseModel)):
                yield f"{place}: {field}: {line}"
            else:
                yield f"{place}: {field} {str(fault['input'])[:80]!r}: {line}"


def clashes(environments: list[Environment]) -> list[str]:
    """VMIDs, names, addresses and domains that two environments both claim."""
    faults = []
    for index, one in enumerate(environments):
        for other in environments[index + 1 :]:
            faults += [
                f"{one.name} and {other.name} both name a machine {name}; rename one"
                for name in sorted(set(one.names()) & set(other.names()))
            ]
            first, last = max(one.vmids[0], other.vmids[0]), min(one.vmids[1], other.vmids[1])
            if first <= last:
                faults.append(
                    f"{one.name}.vmids and {other.name}.vmids both hold {first}-{last}; move one range"
                )
            if shared := sorted(_addresses(one) & _addresses(other), key=int):
                more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
                faults.append(
                    f"{one.name} and {other.name} both use address {shared[0]}{more}; move first_host or ingress.pool"
                )
            if one.ingress.domain == other.ingress.domain:
                faults.append(
                    f"{one.name} and {other.name} both have ingress.domain {one.ingress.domain}; change one"
                )
    return faults


def _addresses(environment: Environment) -> set[IPv4Address | IPv6Address]:
    return {address for host in environment.host_owners() for address in environment.addresses(host)}


def unready(environment: Environment) -> list[str]:
    """What the operator still has to fill in: documentation values, unknown pins, no SSH key. One line each."""
    place = "bootstrap/config/site.py"
    if environment.source == "lab":
        missing = bool(environment.k3s.pin.missing())
        return ["demo: no lab is running; type: rzp-bootstrap lab start"] if missing else []
    faults = []
    for field, value in _site_values(environment):
        if _is_documentation(value):
            faults.append(f"{place}: {field} {value} is a documentation value; put your own there")
    keys = environment.access.ssh_keys
    faults += [
        f"{place}: ACCESS.ssh_keys holds the shipped placeholder; paste your public key"
        for k in keys
        if k.endswith("replace-me")
    ]
    if not keys and not environment.access.key_file:
        faults.append(f"{place}: ACCESS.ssh_keys is empty; paste your public key")
    return faults + unpinned(environment)


def unpinned(environment: Environment) -> list[str]:
    """Pins that are `None`, each with what to run on a connected machine."""
    place = "bootstrap/config/pins.py"
    found = [
        f"{place}: the image's {name} is None; read it in the publisher's SHA512SUMS"
        for name in environment.image.missing()
    ]
    hints = (
        ("K3s", environment.k3s.pin, "read sha256sum-amd64.txt of the release that you want"),
        (
            "Argo CD",
            environment.gitops.argocd,
            "download install.yaml of the tag that you want and run sha256sum",
        ),
    )
    return found + [
        f"{place}: {what}'s {name} is None; {hint}" for what, pin, hint in hints for name in pin.missing()
    ]


def _site_values(environment: Environment) -> Iterable[tuple[str, str]]:
    network = environment.network
    yield from (("PROXMOX.endpoints", url) for url in environment.proxmox.endpoints)
    yield "NETWORK.ipv4.network", str(network.ipv4.network)
    if network.ipv6:
        yield "NETWORK.ipv6.network", str(network.ipv6.network)
    yield from (("NETWORK.dns", str(server)) for server in network.dns)
    yield "NETWORK.search_domain", network.search_domain or ""
    yield "DOMAIN", environment.ingress.domain
    yield "GIT_REPOSITORY", environment.gitops.repository
    if environment.gitops.infisical:
        yield "infisical, host", environment.gitops.infisical.host


def _is_documentation(value: str) -> bool:
    host = urlsplit(value).hostname if "://" in value else value.split("/", maxsplit=1)[0]
    try:
        address = ip_address(host or "")
    except ValueError:
        name = "." + (host or "").rstrip(".")
        return name.endswith(_EXAMPLE)
    return any(address.version == network.version and address in network for network in _DOCUMENTATION)
