"""Stand-ins for what the lab cannot fetch without internet: a `k3s` executable and an Argo CD manifest.

Both are test doubles and say so in their versions and in what they print. Only the lab publishes them, on its own file
server, and only the demo environment pins them.
"""

import hashlib
import io
import zipfile
from pathlib import Path

K3S_VERSION = "v1.36.4+k3s1-standin"
ARGOCD_VERSION = "v3.5.1-standin"
_HERE = Path(__file__).parent
_MAIN = "import sys\n\nfrom k3s.cli import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def executable(version: str = K3S_VERSION) -> bytes:
    """The stand-in as one executable file; the same sources give the same bytes, so that it can be pinned by checksum."""
    files = {path.name: path.read_text(encoding="utf-8") for path in (_HERE / "k3s").glob("*.py")}
    members = {f"k3s/{name}": text for name, text in files.items()}
    members |= {"__main__.py": _MAIN, "k3s/version.py": f"VERSION = {version!r}\n"}
    archive = io.BytesIO()
    archive.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(archive, "a") as file:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3  # the same on every system that publishes
            member.external_attr = 0o644 << 16
            file.writestr(member, members[name])
    return archive.getvalue()


def publish(www: Path, base_url: str, version: str = K3S_VERSION) -> dict[str, dict[str, str]]:
    """Write both files below `www`; their pins, as the demo environment reads them."""
    www.mkdir(parents=True, exist_ok=True)
    contents = {
        "k3s": (version, "k3s", executable(version)),
        "argocd": (ARGOCD_VERSION, "argocd-install.yaml", (_HERE / "argocd.yaml").read_bytes()),
    }
    pins = {}
    for key, (release, name, content) in contents.items():
        (www / name).write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest()
        pins[key] = {"version": release, "url": f"{base_url.rstrip('/')}/{name}", "sha256": checksum}
    (www / "k3s").chmod(0o755)
    return pins
