"""What the deploys keep away from: the parts of pyinfra that bite, and everything of bootstrap but its secrets."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BITES = {
    "pyinfra.operations": "its operations cost a command each, upload through /tmp, or count as a change every time",
    "pyinfra.facts": "each of its facts is a command of its own; ask in deploys/facts/script.py",
    "pyinfra_cli": "it patches the interpreter",
}
ARGUMENTS = {
    "_run_once": "it runs on whichever host comes first",
    "_serial": "in an arbitrary order, and it goes on after a failure",
    "_retry_until": "giving up counts as success",
    "_retries": "it repeats commands that are not idempotent",
    "_ignore_errors": "a failure must end the run",
    "_env": "its values are in the process list",
    "_if": "it is ignored while planning",
}


def _sources(checkout: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in [*sorted((checkout / "deploys").rglob("*.py")), checkout / "inventories/group_data/all.py"]:
        yield path.relative_to(checkout), ast.parse(path.read_text())


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_of_bootstrap_only_the_secrets_are_imported(checkout: Path) -> None:
    found = {
        name for _, tree in _sources(checkout) for name in _imports(tree) if name.startswith("bootstrap")
    }
    assert found <= {"bootstrap.secrets.Secret", "bootstrap.secrets.Secrets"}


@pytest.mark.parametrize("module", BITES)
def test_what_bites_is_not_imported(checkout: Path, module: str) -> None:
    found = [
        str(path) for path, tree in _sources(checkout) for name in _imports(tree) if name.startswith(module)
    ]
    assert not found, BITES[module]


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_bites_is_not_passed(checkout: Path, argument: str) -> None:
    calls = (
        (path, node.lineno)
        for path, tree in _sources(checkout)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(keyword.arg == argument for keyword in node.keywords)
    )
    assert not list(calls), ARGUMENTS[argument]


def test_every_step_of_an_entry_has_a_name(checkout: Path) -> None:
    """pyinfra prints the arguments of an operation without one."""
    modules = {"node", "disks", "k3s", "cluster", "argocd"}
    for entry in ("k3s.py", "argocd.py"):
        calls = [
            node
            for node in ast.walk(ast.parse((checkout / "deploys" / entry).read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in modules
        ]
        assert calls
        assert all(call.keywords[0].arg == "name" for call in calls)
