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


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One parameter. `form` gets the parameter's name and text, and answers what is wrong with its format, or nothing."""

    kind: str = "string"  # string, integer, number, boolean, array
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: Callable[[str, str], str] | None = None
    requires: str = ""

    def complaint(self, name: str, text: str) -> str:
        if self.kind == "boolean":
            return "" if text in ("0", "1") else f"type check ('boolean') failed - got '{text}'"
        if self.kind in ("integer", "number"):
            return self._number_complaint(text)
        if self.choices and text not in self.choices:
            return f"value '{text}' does not have a value in the enumeration '{', '.join(self.choices)}'"
        if self.pattern and not re.fullmatch(self.pattern, text):
            return "value does not match the regex pattern"
        wrong = self.form(name, text) if self.form else ""
        return f"invalid format - {wrong}" if wrong else ""

    def _number_complaint(self, text: str) -> str:
        shape = r"[+-]?\d+" if self.kind == "integer" else r"[+-]?\d+(\.\d+)?"
        if not re.fullmatch(shape, text):
            return f"type check ('{self.kind}') failed - got '{text}'"
        value = float(text)
        if self.minimum is not None and value < self.minimum:
            return f"value must have a minimum value of {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"value must have a maximum value of {self.maximum}"
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
    return "ARRAY" if isinstance(value, list | dict) else str(value)


def check(
    rules: Mapping[str, Rule], given: Mapping[str, Any], *, old_wording: bool = False
) -> dict[str, str]:
    """The parameters as text, or one fault that names every wrong one. 8.4 words a missing companion differently."""
    errors: dict[str, str] = {}
    clean: dict[str, str] = {}
    for name, value in given.items():
        rule = rules.get(name)
        text = as_text(value, rule.kind if rule else "")
        wrong = rule.complaint(name, text) if rule else UNKNOWN
        if wrong:
            errors[name] = wrong
        elif rule and rule.requires and rule.requires not in given:
            errors[rule.requires] = (
                f"missing property - '{name}' requires this property"
                if old_wording
                else f"missing property required by '{name}'"
            )
        clean[name] = text
    errors |= {name: MISSING for name, rule in rules.items() if rule.required and name not in given}
    if errors:
        raise Fault(400, "Parameter verification failed.", errors)
    return clean


def properties(text: str, default: str = "") -> dict[str, str]:
    """A property string, `a,b=c,d=e`: the part without a key belongs to `default`."""
    values: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        values[key if separator else default] = value if separator else part
    return values


def structure(default: str, rules: Rules) -> Callable[[str, str], str]:
    """The format check of a property string."""

    def complain(name: str, text: str) -> str:
        given = properties(text, default)
        wrong = {
            key: rules[key].complaint(key, value) if key in rules else UNKNOWN for key, value in given.items()
        }
        wrong |= {key: MISSING for key, rule in rules.items() if rule.required and key not in given}
        lines = "".join(f"{name}.{key}: {why}\n" for key, why in wrong.items() if why)
        return f"format error\n{lines}" if lines else ""

    return complain
