"""`make docs`: write what is generated in docs/."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.pages import pages

ROOT = Path(__file__).parents[2]

for name, text in pages(ROOT).items():
    file = ROOT / name
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
        sys.stdout.write(f"wrote {name}\n")
