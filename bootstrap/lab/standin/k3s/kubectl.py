"""`k3s kubectl`: the verbs of a deploy, against the server that the kubeconfig names."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import printing
from .arguments import Arguments, Usage, parse, selection, targets
from .connection import Connection, Failed, server_error
from .journal import banner
from .printing import err, out
from .store import Json

MACHINE_READABLE = ("json", "yaml", "name")


def manifests(arguments: Arguments) -> list[Json]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[Json] = []
    names = arguments.values.get("filename", [])
    if not names:
        raise Usage("must specify one of -f and -k")
    for name in names:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        for document in yaml.load_all(text, Loader=loader):
            if document:
                found += document["items"] if document.get("kind") == "List" else [document]
    return found


def get(server: Connection, arguments: Arguments) -> int:
    if arguments.one("raw"):
        sys.stdout.write(server.get(arguments.one("raw")))
        return 0
    body = selection(arguments, targets(arguments.words))
    answer = server.post("get", body)
    single = len(body["resources"]) == 1 and len(body["resources"][0][1]) == 1
    printing.show(answer["items"], arguments.one("output"), single=single, wide=body["all"])
    errors = [] if arguments.on("ignore-not-found") else answer["errors"]
    for error in errors:
        err(server_error(error))
    return 1 if errors else 0


def _applied(server: Connection, arguments: Arguments, *, dry: bool) -> list[Json]:
    body: Json = {
        "manifests": manifests(arguments),
        "namespace": arguments.namespace,
        "explicit": "namespace" in arguments.values,
        "manager": arguments.one("field-manager", "kubectl"),
        "force": arguments.on("force-conflicts"),
        "dry": dry,
    }
    lines: list[Json] = server.post("apply", body)["lines"]
    for line, manifest in zip(lines, body["manifests"], strict=True):
        if "error" in line and line["error"]["reason"] == "NoMatch":
            name, space = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
            where = f'name: "{name}" namespace: "{space}" from "{arguments.one("filename")}"'
            text = f"resource mapping not found for {where}: {line['error']['message']}"
            line["error"]["message"] = f"{text}\nensure CRDs are installed first"
    return lines


def apply(server: Connection, arguments: Arguments) -> int:
    if not arguments.on("server-side"):
        raise Usage("stand-in: only `apply --server-side` is imitated")
    dry = arguments.on("dry-run")
    return _report(
        _applied(server, arguments, dry=dry), f"serverside-applied{' (server dry run)' if dry else ''}"
    )


def diff(server: Connection, arguments: Arguments) -> int:
    """0: the same, 1: differs, 2: an error (kubectl says "greater than one")."""
    lines = _applied(server, arguments, dry=True)
    errors = [line["error"] for line in lines if "error" in line]
    for error in errors:
        err(server_error(error))
    different = [line for line in lines if "error" not in line and line["before"] != line["after"]]
    for line in different:
        printing.difference(line)
    return 2 if errors else bool(different)


def _report(lines: list[Json], done: str, unchanged: str | None = None) -> int:
    for line in lines:
        if "error" in line:
            err(server_error(line["error"]))
        else:
            out(f"{line['title']} {done if line['changed'] or not unchanged else unchanged}")
    return 1 if any("error" in line for line in lines) else 0


def create(server: Connection, arguments: Arguments) -> int:
    match arguments.words:
        case ["namespace" | "ns", name]:
            manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            body = {"manifests": [manifest], "namespace": "", "manager": "kubectl-create", "create": True}
            return _report(server.post("apply", body)["lines"], "created")
        case _:
            raise Usage("stand-in: only `create namespace NAME` is imitated")


def _edit(server: Connection, arguments: Arguments, verb: str, words: list[str], change: Json) -> list[Json]:
    chosen = targets(words)
    if len(chosen) != 1 or not chosen[0][1]:
        raise Usage("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    manager = arguments.one("field-manager", f"kubectl-{verb}")
    more: Json = {"manager": manager, "overwrite": arguments.on("overwrite"), "change": {}, **change}
    lines: list[Json] = server.post("edit", selection(arguments, chosen) | more)["lines"]
    return lines


def _pairs(words: list[str]) -> tuple[list[str], Json]:
    """`key=value` sets, `key-` removes; what is left are the type and the names."""
    change: Json = {word.partition("=")[0]: word.partition("=")[2] for word in words if "=" in word}
    change |= {word[:-1]: None for word in words if "=" not in word and word.endswith("-")}
    return [word for word in words if "=" not in word and not word.endswith("-")], change


def label(server: Connection, arguments: Arguments) -> int:
    words, pairs = _pairs(arguments.words)
    lines = _edit(server, arguments, "label", words, {"change": {"metadata": {"labels": pairs}}})
    return _report(lines, "labeled", "not labeled")


def annotate(server: Connection, arguments: Arguments) -> int:
    words, pairs = _pairs(arguments.words)
    lines = _edit(server, arguments, "annotate", words, {"change": {"metadata": {"annotations": pairs}}})
    return _report(lines, "annotated")


def taint(server: Connection, arguments: Arguments) -> int:
    taints: list[Json] = []
    rest = []
    for word in arguments.words:
        key, _, effect = word.removesuffix("-").partition(":")
        key, equals, value = key.partition("=")
        if word.endswith("-"):
            taints.append({"key": key, "remove": True} | ({"effect": effect} if effect else {}))
        elif effect:
            taints.append({"key": key, "effect": effect} | ({"value": value} if equals else {}))
        else:
            rest.append(word)
    done = "modified" if arguments.on("overwrite") else "tainted"
    if all(entry.get("remove") for entry in taints):
        done = "untainted"
    return _report(_edit(server, arguments, "taint", rest, {"taints": taints}), done)


def delete(server: Connection, arguments: Arguments) -> int:
    if arguments.values.get("filename"):
        found = manifests(arguments)
        chosen: list[Any] = [
            [f"{body['kind']}.{body['apiVersion'].rpartition('/')[0]}", [body["metadata"]["name"]]]
            for body in found
        ]
    else:
        chosen = targets(arguments.words)
    if not any(names for _, names in chosen) and not arguments.on("all") and not arguments.one("selector"):
        raise Usage("resource(s) were provided, but no name was specified")
    failed = 0
    for line in server.post("delete", selection(arguments, chosen))["lines"]:
        if "error" not in line:
            out(f'{line["kind"]} "{line["name"]}" deleted')
        elif not arguments.on("ignore-not-found"):
            err(server_error(line["error"]))
            failed = 1
    return failed


def kubectl(words: list[str], version: str) -> int:
    from .waiting import rollout, wait

    verbs: dict[str, Callable[[Connection, Arguments], int]] = {
        verb.__name__: verb
        for verb in (get, apply, diff, create, label, annotate, taint, delete, wait, rollout)
    }
    try:
        arguments = parse(words)
        if arguments.one("output") not in MACHINE_READABLE and not arguments.one("raw"):
            banner()
        verb = arguments.words.pop(0) if arguments.words else ""
        if verb == "version":
            return printing.versions(version, arguments, lambda: Connection(arguments).get("/version"))
        if verb not in verbs:
            raise Usage(f'unknown command "{verb}" for "kubectl" (or one that the stand-in does not imitate)')
        return verbs[verb](Connection(arguments), arguments)
    except (Usage, OSError) as problem:
        err(f"error: {problem}")
    except Failed as problem:
        err(str(problem))
    return 1
