"""Objects as YAML that reads like handwritten, and the one kind of kustomize patch that is generated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml


def document(objects: Iterable[dict[str, Any]], heading: str = "") -> str:
    """One YAML document per object, below `heading`."""
    return heading + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)


def replacing(kind: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """A patch that replaces fields by JSON pointer; each of them must be there."""
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return {
        "target": {"kind": kind, "name": name},
        "patch": yaml.dump(operations, Dumper=_Dumper, sort_keys=False),
    }


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, lists indented, nothing by reference."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
