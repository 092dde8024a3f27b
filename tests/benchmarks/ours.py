"""`python -m tests.benchmarks.ours STATE COUNT`: plan and apply against a running lab, as a process of its own like Ansible's.

Prints one JSON object: how many changes the plan had, and how many machines it was about.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bootstrap.apply import apply
from bootstrap.plan import diff
from bootstrap.proxmox.read import observe
from bootstrap.proxmox.session import Client
from tests.benchmarks import fleet
from tests.bootstrap.conftest import KEY, Lab


def main(state: Path, count: int) -> None:
    lab = Lab(json.loads((state / "endpoint.json").read_text()), state)
    lab.environment = fleet.environment(lab.endpoint, count)
    client = Client(lab.login)
    seen = observe(client, lab.environment, lab.machines)
    image = lab.environment.image.filename
    todo = diff("demo", lab.machines, seen, image=image, image_storage="local")
    if todo.conflicts:
        raise SystemExit("\n".join(todo.conflicts))
    result = apply(
        todo,
        client=lambda: client,
        environment=lab.environment,
        seed=lambda _: b"seed" * 4096,
        host_key=lambda _: KEY,
        probe=lab.hosts,
    )
    if result.failures:
        raise SystemExit(str(dict(result.failures)))
    sys.stdout.write(json.dumps({"changes": len(result.done), "machines": len(lab.machines)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
