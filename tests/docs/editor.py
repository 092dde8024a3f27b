"""What stands in for the reader's editor: in a copied environment it puts numbers of its own, everything else it leaves alone."""

import sys
from pathlib import Path

NUMBERS = (
    ('name="staging"', 'name="test"'),
    ("vmids=(120, 139)", "vmids=(140, 159)"),
    ("first_vmid=120, first_host=20", "first_vmid=140, first_host=60"),
    ("first_vmid=130", "first_vmid=150"),
    ("first_host=30", "first_host=70"),
    ("fd42:120", "fd42:140"),
    ("fd43:120", "fd43:140"),
    ('f"staging.{', 'f"test.{'),
    ("pool=(40, 59)", "pool=(80, 99)"),
)

file = Path(sys.argv[1])
if file.name == "test.py":
    text = file.read_text()
    for old, new in NUMBERS:
        assert old in text, f"{file}: no {old} to change"
        text = text.replace(old, new)
    file.write_text(text)
