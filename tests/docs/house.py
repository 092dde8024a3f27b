"""The house of docs/architecture.md: which part of bootstrap imports which, read from the imports as they are."""

from __future__ import annotations

from tests.imports import imports, modules, part

Arrows = dict[str, set[str]]
LAZY = ("cli", "lab")


def graph() -> str:
    """Mermaid: an arrow per import; those that follow from others are left out."""
    text = "flowchart TD\n"
    for one, others in sorted(reduced(arrows()).items()):
        for other in sorted(others):
            text += f"  {one} {'-. lazily .->' if (one, other) == LAZY else '-->'} {other}\n"
    return text + "  deploys --> secrets\n"


def arrows() -> Arrows:
    """Each part and the parts that it imports."""
    found: Arrows = {}
    for module in modules("bootstrap"):
        if (one := part(module)) != "__init__":
            others = {name.split(".")[1] for name in imports(module) if name.startswith("bootstrap.")}
            found.setdefault(one, set()).update(others - {one})
    return found


def reduced(whole: Arrows) -> Arrows:
    """Without the arrows that a longer way says already; the one that is drawn differently stays."""
    return {
        one: {
            other
            for other in others
            if (one, other) == LAZY or not any(other in _below(whole, via) for via in others - {other})
        }
        for one, others in whole.items()
    }


def _below(whole: Arrows, part: str) -> set[str]:
    return {below for other in whole.get(part, ()) for below in {other, *_below(whole, other)}}
