"""Rendering templates of the project; an undefined name is an error. pyinfra runs in the project's folder, so do we."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """The text of `template`, a path in the project, with `values` filled in."""
    environment = Environment(
        loader=FileSystemLoader(Path.cwd()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, no HTML
    )
    return environment.get_template(template).render(**values)
