"""Objects as YAML that reads like handwritten, and the one kind of kustomize patch that is generated."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

# Numbers of YAML 1.2, which Argo CD reads; PyYAML knows 1.1, to which 1e3, 0o17 and 089 are texts. A commit may be 1234e56.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|0o[0-7]+", re.IGNORECASE)


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
    """Texts of several lines as blocks, numbers that are texts quoted, lists indented, nothing by reference."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
