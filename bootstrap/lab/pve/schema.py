"""Parameter checks with Proxmox's wordings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap.lab.pve.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"


_TRUE, _FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One parameter. `form` gets the parameter's name and text, and answers what is wrong with its format, or nothing."""

    kind: str = "string"  # string, integer, number, boolean, array
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    longest: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: Callable[[str, str], str] | None = None
    requires: str = ""
    new: bool = False  # unknown to 8.4

    def complaint(self, name: str, text: str) -> str:
        shape = {"boolean": "[01]", "integer": r"[+-]?\d+", "number": r"[+-]?\d+(\.\d+)?"}.get(self.kind)
        if shape and not re.fullmatch(shape, text):
            return f"type check ('{self.kind}') failed - got '{text}'"
        if self.form and (wrong := self.form(name, text)):
            return f"invalid format - {wrong}"
        if self.pattern and not re.fullmatch(self.pattern, text):
            return "value does not match the regex pattern"
        if self.longest is not None and len(text) > self.longest:
            return f"value may only be {self.longest} characters long"
        if self.choices and text not in self.choices:
            return f"value '{text}' does not have a value in the enumeration '{', '.join(self.choices)}'"
        return self._range_complaint(text)

    def _range_complaint(self, text: str) -> str:
        if self.maximum is not None and float(text) > self.maximum:
            return f"value must have a maximum value of {self.maximum}"
        if self.minimum is not None and float(text) < self.minimum:
            return f"value must have a minimum value of {self.minimum}"
        return ""


Rules = dict[str, Rule]

TEXT = Rule()
NEEDED = Rule(required=True)
WHOLE = Rule(kind="integer", minimum=0)
SWITCH = Rule(kind="boolean")


def as_text(value: Any, kind: str = "string") -> str:
    """A value of a JSON body as the form would carry it. The parts of an array are separated by NUL."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if kind == "array":
        return "\0".join(map(str, value)) if isinstance(value, list) else str(value)
    return str(value)


def check(
    rules: Mapping[str, Rule], given: Mapping[str, Any], *, old_wording: bool = False
) -> dict[str, str]:
    """The parameters as text, or one fault that names every wrong one. 8.4 words a missing companion differently."""
    errors: dict[str, str] = {}
    clean: dict[str, str] = {}
    for name, value in given.items():
        rule = rules.get(name)
        rule = None if rule and rule.new and old_wording else rule
        clean[name] = as_text(value, rule.kind if rule else "")
        if wrong := _complaint(rule, name, value, clean[name]):
            errors[name] = wrong
        elif rule and rule.requires and rule.requires not in given:
            errors[rule.requires] = f"missing property required by '{name}'"
    errors |= {name: MISSING for name, rule in rules.items() if rule.required and name not in given}
    if errors and old_wording:
        old = r"missing property - '\1' requires this property"
        errors = {
            name: re.sub("missing property required by '(.+?)'", old, text) for name, text in errors.items()
        }
    if errors:
        raise Fault(400, "Parameter verification failed.", errors)
    return clean


def _complaint(rule: Rule | None, name: str, value: Any, text: str) -> str:
    if rule is None:
        return UNKNOWN
    if isinstance(value, list | dict) and rule.kind != "array":
        what = "ARRAY" if isinstance(value, list) else "HASH"
        return f"type check ('{rule.kind}') failed - got {what}"
    return rule.complaint(name, text)


def properties(text: str, default: str = "") -> dict[str, str]:
    """A property string, `a,b=c,d=e`: the part without a key belongs to `default`."""
    values: dict[str, str] = {}
    for part in filter(str.strip, text.split(",")):
        key, separator, value = part.partition("=")
        values[key if separator else default] = value if separator else part
    return values


def switched(rules: Rules, given: Mapping[str, str]) -> dict[str, str]:
    """A property string's parts with its switches as 0 and 1; in there more words than these are understood."""
    plain = dict(given)
    for key, text in given.items():
        if key in rules and rules[key].kind == "boolean" and text.lower() in _TRUE + _FALSE:
            plain[key] = str(int(text.lower() in _TRUE))
    return plain


def structure(default: str, rules: Rules) -> Callable[[str, str], str]:
    """The format check of a property string."""

    def complain(name: str, text: str) -> str:
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        keys = [key if separator else default for key, separator, _ in parts]
        for place, (key, separator, value) in enumerate(parts):
            if separator and not (key and value):
                return "missing key in comma-separated list property\n"
            if not keys[place]:
                return "value without key, but schema does not define a default key\n"
            if keys[place] in keys[:place]:
                return f"duplicate key in comma-separated list property: {keys[place]}\n"
            if keys[place] not in rules:
                return f"invalid key in comma-separated list property: {key}\n"
        given = switched(rules, properties(text, default))
        wrong = {key: rules[key].complaint(f"{name}.{key}", value) for key, value in given.items()}
        wrong |= {key: MISSING for key, rule in rules.items() if rule.required and key not in given}
        for key in given:
            if rules[key].requires and rules[key].requires not in given:
                wrong[rules[key].requires] = f"missing property required by '{name}.{key}'"
        lines = "".join(f"{name}.{key}: {why}\n" for key, why in wrong.items() if why)
        return f"format error\n{lines}" if lines else ""

    return complain
