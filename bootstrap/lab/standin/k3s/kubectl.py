"""`k3s kubectl`: the verbs of a deploy, in the forms that it uses; anything else is refused."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from .client import Client, Refused
from .files import KUBECONFIG, Home
from .journal import banner
from .node import taint
from .settings import rooted
from .state import Json

REFUSED = "The connection to the server {} was refused - did you specify the right host or port?"
# Without these kubectl behaves in ways that are not imitated: conflicts, client-side apply, refusals.
NEEDED = dict.fromkeys(("apply", "diff"), "--force-conflicts")
NEEDED |= dict.fromkeys(("label", "annotate", "taint"), "--overwrite")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(400, f"error: {message} (or not imitated by the stand-in)")


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}.get(text[-1:], float("nan"))


def _arguments(words: list[str]) -> Namespace:
    parser = Parser(prog="kubectl", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-n", "--namespace")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", choices=("json", "wide"))
    parser.add_argument("--raw")
    parser.add_argument("-f", "--filename")
    parser.add_argument("--field-manager", default="kubectl")
    parser.add_argument("--for", dest="goal", default="")
    parser.add_argument("--timeout", type=_seconds, default=30.0)
    for switch in ("--server-side", "--force-conflicts", "--overwrite"):
        parser.add_argument(switch, action="store_true")
    found = parser.parse_intermixed_args(words)
    found.verb, *found.words = found.words or [""]
    found.space = found.namespace or "default"
    found.status = 0
    return found


def _connection() -> Client:
    """The kubeconfig names the server; its credentials are read from the files that it was made of."""
    path = rooted(KUBECONFIG)
    if not path.exists():
        raise Refused(400, REFUSED.format("localhost:8080"))
    found = re.search(r"server: \"([^\"]+)", path.read_text())
    home = Home()
    return Client(found[1] if found else "", home.authority, certificate=home.admin)


def _targets(words: list[str]) -> list[tuple[str, list[str]]]:
    """`nodes`, `node a b`, `crd/x crd/y`, `pods,deployments` as [type, names] pairs."""
    if any("/" in word for word in words):
        return [(kind, [name]) for kind, _, name in (word.partition("/") for word in words)]
    if not words:
        raise Refused(400, "error: no type of resource is given")
    return [(kind, words[1:]) for kind in words[0].split(",")]


def get(server: Client, arguments: Namespace) -> list[str]:
    if arguments.raw:
        sys.stdout.write(server.get(arguments.raw))
        return []
    targets = _targets(arguments.words)
    namespace = None if arguments.all_namespaces else arguments.space
    answer = server.post("get", {"targets": targets, "namespace": namespace})
    objects = [item["object"] for item in answer["items"]]
    if arguments.output == "json" and [len(names) for _, names in targets] == [1]:
        _print(json.dumps(one, indent=4) for one in objects)
    elif arguments.output == "json":
        _print([json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=4)])
    else:
        _print(f"{item['title']:<60} {_summary(item['object'])}".rstrip() for item in answer["items"])
    return list(answer["errors"])


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _summary(body: Json) -> str:
    status = body.get("status", {})
    if "availableReplicas" in status:
        return f"{status['availableReplicas']}/{status['replicas']}"
    return " ".join(f"{entry['type']}={entry['status']}" for entry in status.get("conditions", []))


def _manifests(arguments: Namespace) -> Json:
    import yaml  # slow to import, and nothing else needs it

    text = sys.stdin.read() if arguments.filename == "-" else Path(arguments.filename or "").read_text()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    manifests = [document for document in yaml.load_all(text, Loader=loader) if document]
    return {"manifests": manifests, "namespace": arguments.namespace, "manager": arguments.field_manager}


def apply(server: Client, arguments: Namespace) -> list[str]:
    return _carried_out(server, "apply", _manifests(arguments))


def diff(server: Client, arguments: Namespace) -> list[str]:
    """By the program `diff`, as kubectl does, but of JSON. It ends with 1 if there are differences."""
    for versions in server.post("preview", _manifests(arguments))["pairs"]:
        with tempfile.TemporaryDirectory() as folder:
            names = [str(Path(folder, name)) for name in ("LIVE", "MERGED")]
            for name, body in zip(names, versions, strict=True):
                Path(name).write_text(f"{json.dumps(body, indent=2, sort_keys=True)}\n" if body else "")
            subprocess.run(["diff", "-u", "-N", *names], check=False)
        arguments.status = 1
    return []


def _carried_out(server: Client, request: str, body: Json) -> list[str]:
    answer = server.post(request, body)
    _print(answer["out"])
    return list(answer["errors"])


def edit(server: Client, arguments: Namespace) -> list[str]:
    """`key=value` sets, `key-` removes; what is left are the type and the names."""
    changes = [word for word in arguments.words if "=" in word or ":" in word or word.endswith("-")]
    [(kind, names)] = _targets([word for word in arguments.words if word not in changes])
    body: Json = {"type": kind, "names": names, "namespace": arguments.space, "change": {}}
    gone = {word: word.endswith("-") for word in changes}
    if arguments.verb == "taint":
        body |= {"done": "modified", "taints": [taint(w.rstrip("-")) | {"remove": gone[w]} for w in changes]}
    else:
        field, done = {"label": ("labels", "labeled"), "annotate": ("annotations", "annotated")}[
            arguments.verb
        ]
        pairs = {w.rstrip("-").partition("=")[0]: None if gone[w] else w.partition("=")[2] for w in changes}
        body |= {"done": done, "change": {"metadata": {field: pairs}}}
    return _carried_out(server, "edit", body)


def delete(server: Client, arguments: Namespace) -> list[str]:
    errors = []
    for kind, names in _targets(arguments.words):
        errors += _carried_out(server, "delete", {"type": kind, "names": names, "namespace": arguments.space})
    return errors


def wait(server: Client, arguments: Namespace) -> list[str]:
    """Only --for=condition=NAME, of objects that are named."""
    goal, _, condition = arguments.goal.partition("=")
    body = {"targets": _targets(arguments.words), "namespace": arguments.space}
    if goal != "condition":
        raise Refused(400, f"error: stand-in: `wait --for={arguments.goal}` is not imitated")
    deadline = time.monotonic() + arguments.timeout
    while True:
        answer = server.post("get", body)
        found = {item["title"]: _summary(item["object"]).split() for item in answer["items"]}
        missing = [title for title, conditions in found.items() if f"{condition}=True" not in conditions]
        if answer["errors"] or not missing:
            _print(f"{title} condition met" for title in found)
            return list(answer["errors"])
        if time.monotonic() > deadline:
            raise Refused(400, f"error: timed out waiting for the condition on {missing[0]}")
        time.sleep(0.2)


VERBS: dict[str, Callable[[Client, Namespace], list[str]]] = {
    **{verb.__name__: verb for verb in (get, apply, diff, delete, wait)},
    **dict.fromkeys(("label", "annotate", "taint"), edit),
}


def kubectl(words: list[str]) -> int:
    errors: list[str] = []
    status, failed = 0, 2 if "diff" in words else 1
    try:
        arguments = _arguments(words)
        if arguments.output != "json" and not arguments.raw:
            banner()
        if arguments.verb not in VERBS:
            raise Refused(400, f'error: unknown command "{arguments.verb}" (or not imitated by the stand-in)')
        needed = NEEDED.get(arguments.verb)
        if needed and needed not in words:
            raise Refused(400, f"error: stand-in: `{arguments.verb}` without {needed} is not imitated")
        errors = VERBS[arguments.verb](_connection(), arguments)
        status = arguments.status
    except ConnectionRefusedError:
        errors = [REFUSED.format("127.0.0.1:6443")]
    except (Refused, OSError) as problem:
        errors = [str(problem)]
    for error in errors:
        sys.stderr.write(f"{error}\n")
    return failed if errors else status
