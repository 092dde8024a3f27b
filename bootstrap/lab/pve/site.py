"""What a fresh lab holds: the storages, image and accounts that its plan names."""

from __future__ import annotations

import hashlib
import os
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from bootstrap.lab import standin, supply
from bootstrap.lab.pve import images
from bootstrap.lab.pve.storage import FOLDERS, Storage

if TYPE_CHECKING:
    from pathlib import Path

    from bootstrap.lab.pve.context import Lab

STAND_IN = "stand-in.qcow2"
_IMAGE_SIZE = 3 << 30
_MACHINES = """VM.Allocate VM.Audit VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Memory
VM.Config.Network VM.Config.Options VM.PowerMgmt""".split()


def furnish(lab: Lab) -> None:
    """Brings what the plan names into being; what is there stays. Half-received files of a killed daemon go."""
    for half in [
        *(lab.state / "storage").glob("pveupload-*"),
        *(lab.state / "storage").rglob("*.tmp_dwnl.*"),
    ]:
        half.unlink()
    for values in lab.plan.get("storages", []):
        known = {
            "path": "/var/lib/vz" if values["storage"] == "local" else f"/var/lib/{values['storage']}",
            "shared": 0,
        } | values
        lab.storages.define(
            Storage(**{key: known[key] for key in ("storage", "type", "content", "path", "shared")})
        )
    if lab.plan.get("token_id"):
        _accounts(lab, lab.plan["token_id"])
    if lab.plan.get("image_filename"):
        _image(lab, lab.storages.get(lab.plan["image_storage"]), lab.plan["image_filename"])


def _accounts(lab: Lab, token: str) -> None:
    access, user = lab.access, token.partition("!")[0]
    agent = "VM.Monitor" if lab.pve == "8.4" else "VM.GuestAgent.Audit"
    roles = {
        "RZPVM": [*_MACHINES, agent],
        "RZPDisks": ["Datastore.AllocateSpace"],
        "RZPImages": ["Datastore.AllocateTemplate", "Datastore.Audit", "Datastore.Allocate"],
        "RZPNet": ["SDN.Use"],
        "RZPNode": ["Sys.AccessNetwork", "Sys.Audit"],
    }
    grants = [
        ("/vms", "RZPVM"),
        ("/sdn/zones/localnetwork", "RZPNet"),
        *((f"/nodes/{node}", "RZPNode") for node in lab.nodes),
    ]
    for name, storage in lab.storages.all.items():
        grants += [(f"/storage/{name}", "RZPDisks")] if "images" in storage.contents else []
        grants += [(f"/storage/{name}", "RZPImages")] if {"iso", "import"} & {*storage.contents} else []
    for role, privileges in roles.items():
        access.put_role(role, privileges)
    if user not in access.users:
        access.put_user(user, {"enable": 1, "expire": 0, "realm-type": "pve", "comment": "rzp-infra"})
    if token not in access.tokens:
        access.put_token(
            token, {"expire": 0, "privsep": 1, "comment": "rzp-infra client", "value": str(uuid.uuid4())}
        )
    for path, role in grants:
        access.grant(path, user, role)
        access.grant(path, token, role)


def _image(lab: Lab, storage: Storage, name: str) -> None:
    for node in lab.nodes:
        file = lab.storages.folder(node, storage) / FOLDERS["import"] / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = file.with_name(
                f"{file.name}.tmp_dwnl.site"
            )  # a daemon that is killed leaves no half image
            fresh.write_bytes(images.blank(_IMAGE_SIZE))
            fresh.replace(file)


def publish(www: Path, base: str, project: Path | None, supplied: supply.Pins) -> dict[str, Any]:
    """Fills the file server's folder; what the endpoint file says about it. What is not supplied is a stand-in."""
    content = images.blank(_IMAGE_SIZE)
    (www / STAND_IN).write_bytes(content)
    image = {"url": f"{base}/{STAND_IN}", "filename": STAND_IN, "checksum_algorithm": "sha512"}
    found: dict[str, Any] = {
        "image": image | {"checksum": hashlib.sha512(content).hexdigest(), "release": "stand-in"}
    }
    found |= standin.publish(www, base) | supply.publish(www, base, supplied)
    served = project is not None and _repository(www / "rzp-infra.git", project)
    found["repository"] = {"url": f"{base}/rzp-infra.git" if served else None, "revision": "main"}
    return found


def _repository(bare: Path, project: Path) -> bool:
    """What the checkout has at HEAD, as branch main, for Git's dumb protocol; False when there is no commit."""
    trust = bare.with_suffix(".trust")
    trust.write_text("[safe]\n\tdirectory = *\n")  # under sudo the checkout belongs to somebody else
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(trust), "GIT_DIR": str(bare)}
    calls = (
        ("init", "--quiet", "--bare", "--initial-branch=main"),
        ("fetch", "--quiet", str(project), "+HEAD:refs/heads/main"),
        ("update-server-info",),
    )
    return all(
        subprocess.run(["git", *words], env=environment, capture_output=True, check=False).returncode == 0
        for words in calls
    )
