"""docs/environment.md: every field of an environment, read from the models of bootstrap/config."""

from __future__ import annotations

import json
from typing import Any

from bootstrap.config.base import Environment

INTRODUCTION = """# The fields of an environment

An environment is `bootstrap/config/NAME.py`: a module that binds `environment = Environment(…)`. What environments share
stands in `site.py` (what only you can know) and `pins.py` (published versions and checksums). Unknown fields are refused, and
every fault is one line with the fix. `rzp-bootstrap ENV --dry-run` shows what a change does; what takes effect when:
[changes.md](changes.md).
"""
FORMATS = {
    "hostname": "host name",
    "fingerprint": "SHA-256 fingerprint",
    "path": "path",
    "ipv4": "IPv4 address",
    "ipv6": "IPv6 address",
    "ipv4network": "IPv4 network",
    "ipv6network": "IPv6 network",
}
TYPES = {"string": "text", "integer": "whole number", "boolean": "yes or no", "null": "none"}
DEFAULTS = {"null": "none", "true": "`True`", "false": "`False`", "[]": "none", "{}": "none"}


def page() -> str:
    """The whole file. Raises ValueError where a field has no description."""
    schema = Environment.model_json_schema()
    if silent := undescribed(schema):
        raise ValueError(f"{', '.join(silent)}: no description of its own; write one below the field")
    models = {"Environment": schema} | {name: schema["$defs"][name] for name in _order(schema)}
    return INTRODUCTION + "".join(_section(name, model) for name, model in models.items())


def undescribed(schema: dict[str, Any]) -> list[str]:
    """The fields (MODEL.FIELD) and models that say nothing of themselves."""
    models = {schema["title"]: schema} | schema.get("$defs", {})
    silent = [name for name, model in models.items() if not model.get("description")]
    return silent + [
        f"{name}.{field}"
        for name, model in models.items()
        for field, about in model.get("properties", {}).items()
        if not about.get("description")
    ]


def _order(schema: dict[str, Any]) -> list[str]:
    """The names of the models, each behind the first one that has a field of it."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        referred = json.dumps(waiting.pop(0).get("properties", {})).split("#/$defs/")[1:]
        for name in dict.fromkeys(text.split('"')[0] for text in referred):
            if name not in found:
                found.append(name)
                waiting.append(schema["$defs"][name])
    return found


def _section(name: str, model: dict[str, Any]) -> str:
    rows = "".join(
        f"| `{field}` | {_cell(_type(about))} | {_default(field, about, model)} | {_cell(about['description'])} |\n"
        for field, about in model["properties"].items()
    )
    about = " ".join(model["description"].split())
    return f"\n## {name}\n\n{about}\n\n| field | type | default | meaning |\n|---|---|---|---|\n{rows}"


def _default(field: str, about: dict[str, Any], model: dict[str, Any]) -> str:
    if field in model.get("required", []):
        return "**required**"
    value = json.dumps(about.get("default", []))  # a default that is made anew each time is empty
    if value in DEFAULTS:
        return DEFAULTS[value]
    return _cell(", ".join(f"`{part}`" for part in json.loads(value))) if value[0] == "[" else f"`{value}`"


def _type(about: dict[str, Any]) -> str:
    """The type in words, with its limits."""
    if "$ref" in about:
        name = about["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#{name.lower()})"
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"])
    if "enum" in about:
        return " or ".join(f'`"{value}"`' for value in about["enum"])
    if about["type"] == "array":
        return _list(about)
    if about["type"] == "object":
        return f"table: text → {_type(about['additionalProperties'])}"
    words = FORMATS.get(about.get("format", ""), TYPES[about["type"]])
    limits = ", ".join(_limits(about))
    return f"{words} ({limits})" if limits else words


def _list(about: dict[str, Any]) -> str:
    if "prefixItems" in about:
        return "pair: " + ", ".join(_type(one) for one in about["prefixItems"])
    return f"list: {_type(about['items'])}" + _range(about, "minItems", "maxItems", " (", ")")


def _limits(about: dict[str, Any]) -> list[str]:
    found = [
        _range(about, "minimum", "maximum"),
        _range(about, "minLength", "maxLength", after=" characters"),
    ]
    if "pattern" in about:
        found.append(f"matches `{about['pattern']}`")
    return [text for text in found if text]


def _range(about: dict[str, Any], least: str, most: str, before: str = "", after: str = "") -> str:
    if least in about and most in about:
        return f"{before}{about[least]} to {about[most]}{after}"
    if least in about:
        return f"{before}at least {about[least]}{after}"
    return f"{before}at most {about[most]}{after}" if most in about else ""


def _cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
