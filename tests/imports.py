"""Who imports whom, read from the source with ast."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules(package: str) -> list[Path]:
    """The modules of a package; the K3s stand-in is a program of its own that runs inside machines."""
    found = [path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if "standin/k3s" not in path.as_posix()]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(path: Path) -> str:
    return path.parts[1].removesuffix(".py")
