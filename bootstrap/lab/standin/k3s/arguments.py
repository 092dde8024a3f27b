"""kubectl's command line: flags and words in any order."""

from dataclasses import dataclass, field
from typing import Any

VALUES = {
    "-n": "namespace",
    "-o": "output",
    "-f": "filename",
    "-l": "selector",
    **{
        f"--{name}": name
        for name in (
            "namespace output filename selector field-manager for timeout raw kubeconfig context "
            "request-timeout cascade grace-period"
        ).split()
    },
}
SWITCHES = {
    "-A": "all-namespaces",
    **{
        f"--{name}": name
        for name in (
            "all-namespaces server-side force-conflicts overwrite ignore-not-found wait all show-managed-fields "
            "client dry-run watch force now"
        ).split()
    },
}


class Usage(Exception):
    """A command line that kubectl refuses, or that the stand-in does not imitate."""


@dataclass
class Arguments:
    words: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)

    def one(self, name: str, default: str = "") -> str:
        return self.values.get(name, [default])[-1]

    def on(self, name: str, default: str = "false") -> bool:
        return self.switches.get(name, default) not in {"false", "none"}

    @property
    def namespace(self) -> str:
        return self.one("namespace", "default")

    @property
    def seconds(self) -> float:
        """--timeout as seconds: `90s`, `2m`, `1m30s`, or a bare number."""
        total, digits = 0.0, ""
        for letter in self.one("timeout", "30s"):
            if letter.isdigit() or letter == ".":
                digits += letter
            elif letter in "hms" and digits:
                total += float(digits) * {"h": 3600, "m": 60, "s": 1}[letter]
                digits = ""
            else:
                raise Usage(f'invalid argument "{self.one("timeout")}" for "--timeout" flag')
        return total + float(digits or 0)


def parse(words: list[str]) -> Arguments:
    found = Arguments()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "-" or not word.startswith("-"):
            found.words.append(word)
        elif name in VALUES:
            if not equals:
                if not rest:
                    raise Usage(f"flag needs an argument: {name}")
                value = rest.pop(0)
            found.values.setdefault(VALUES[name], []).append(value)
        elif name in SWITCHES:
            found.switches[SWITCHES[name]] = value if equals else "true"
        elif word[:2] in VALUES and not word.startswith("--"):
            found.values.setdefault(VALUES[word[:2]], []).append(word[2:].removeprefix("="))
        else:
            raise Usage(f"unknown flag: {name} (or one that the stand-in does not imitate)")
    return found


def targets(words: list[str]) -> list[list[Any]]:
    """`nodes`, `node a b`, `deployment/x statefulset/y`, `nodes,namespaces` as [type, names] pairs."""
    if not words:
        raise Usage("You must specify the type of resource to get.")
    if any("/" in word for word in words):
        pairs = [word.split("/", 1) for word in words if "/" in word]
        if len(pairs) < len(words):
            raise Usage(
                "there is no need to specify a resource type as a separate argument when passing resource/name"
            )
        return [[kind, [name]] for kind, name in pairs]
    return [[kind, words[1:]] for kind in words[0].split(",")]


def selection(arguments: Arguments, resources: list[list[Any]]) -> dict[str, Any]:
    """Which objects a request is about."""
    return {
        "resources": resources,
        "namespace": arguments.namespace,
        "all": arguments.on("all-namespaces"),
        "selector": arguments.one("selector"),
        "managed": arguments.on("show-managed-fields"),
    }
