"""What hosts of a converged environment answer, as text; a test changes what it is about."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from bootstrap.secrets import Secret
from deploys import handover, k3s_files, longhorn, paths, system, token
from deploys.facts import argocd, cluster
from deploys.facts.questions import UNIT
from deploys.settings import Settings

PASSWORD = "canary-0f4b7c1d9e2a6358"
CA = hashlib.sha256(b"the CA").hexdigest()
ADMIN = """apiVersion: v1
kind: Config
clusters:
- {name: default, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}
users:
- {name: default, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
contexts:
- {name: default, context: {cluster: default, user: default}}
current-context: default
"""


def answer(path: str, mode: int, kind: str, value: str) -> str:
    return f"file\t{path}\t{mode:o}\troot\t{kind}\t{value}"


def dumpe2fs(blocks: int, *, size: int = 4096) -> str:
    """The lines of an ext4 that the script picks, as it sends them."""
    text = f"Block count:              {blocks}\nBlock size:               {size}\nBlocks per group:         {size * 8}\n"
    return base64.b64encode(text.encode()).decode()


def system_disk(*, total: int = 41943040, size: int = 41680863, blocks: int = 5210107) -> str:
    """/ as on Debian's cloud image after its first boot: partition 1 behind 14 and 15. Numbers are sectors."""
    return f"root\text4\tsda1\tsda\t1\t262144\t{size}\t{total}\t262144 2048 8192\t{dumpe2fs(blocks)}"


def node_lines(settings: Settings, name: str) -> list[str]:
    """What the gathering script prints on a host that is as wanted."""
    node, secret = settings.nodes[name], Secret(PASSWORD)
    others = [server for server in settings.servers if server != name]
    server = node.role == "server"
    drop_in = k3s_files.joining(settings, name, others[0]) if others else k3s_files.founding(settings, name)
    tokens = token.pinned(secret, CA) if others else token.short(secret)
    unit = k3s_files.unit(settings, name)
    config = k3s_files.config(settings, name)
    started = {paths.K3S_BINARY: settings.k3s.sha256} | {
        file.path: file.sha256 for file in (config, tokens, unit)
    }
    texts = [
        (paths.CLOUD_INIT_RESULT, 0o644, "{}"),
        (paths.CLOUD_INIT_STATUS, 0o644, '{"v1": {"init": {"errors": [], "recoverable_errors": {}}}}'),
        (paths.MODULES_LOAD, 0o644, system.modules_text(settings)),
        (paths.SYSCTL, 0o644, system.sysctl_text(settings)),
        (paths.K3S_STARTED, 0o600, "".join(f"{digest}  {path}\n" for path, digest in started.items())),
        *((file.path, file.mode, file.text) for file in (config, unit)),
    ]
    chosen = drop_in if server else k3s_files.registering(settings, name)
    texts.append((chosen.path, chosen.mode, chosen.text))
    units = {UNIT[node.role]: "enabled", "swap.target": "masked"}
    units |= {"iscsid.socket": "enabled"} if longhorn.runs(settings) else {}
    lines = ["cloud-init", system_disk()]
    for disk in node.data_disks:
        uuid = "5c0c1b2e-0000-4000-8000-000000000001"
        mount = system.mount_unit(disk.mount)
        texts.append((paths.unit(mount), 0o644, system.mount_text(uuid, disk)))
        units[mount] = "enabled"
        tags = base64.b64encode(f"DEVNAME=/dev/sdb\nUUID={uuid}\nTYPE=ext4\n".encode()).decode()
        held = f"{8 << 30}\t{dumpe2fs((8 << 30) // 4096)}"
        lines += [
            f"disk\t{disk.device}\t/dev/sdb\t8:10\t0\t{tags}\t\t0\t{held}",
            f"mount\t{disk.mount}\t8:16",
        ]
    lines += [
        answer(path, mode, "text", base64.b64encode(text.encode()).decode()) for path, mode, text in texts
    ]
    lines += [answer(paths.K3S_BINARY, 0o755, "sha256", settings.k3s.sha256)]
    lines += [answer(paths.K3S_TOKEN, 0o600, "sha256", tokens.sha256)]
    if server:
        lines += [
            answer(paths.SERVER_CA, 0o644, "sha256", CA),
            answer(paths.K3S_KUBECONFIG, 0o600, "sha256", hashlib.sha256(ADMIN.encode()).hexdigest()),
        ]
        lines += [f"exists\t{paths.ETCD_MEMBER}", "serving"]
    for unit_name, state in units.items():
        lines += [
            f"unit\tId={unit_name}",
            "unit\tActiveState=active",
            f"unit\tUnitFileState={state}",
            "unit\t",
        ]
    packages = (*system.PACKAGES["machine"], *system.node_packages(settings))
    lines += [f"package\t{package}\tii " for package in packages]
    lines += [f"module\t{module}" for module in system.modules(settings)]
    lines += [f"sysctl\t{key}\t{value}" for key, value in system.sysctl_values(settings).items()]
    return [*lines, "end"]


def _kube_node(settings: Settings, name: str) -> dict[str, Any]:
    node = longhorn.labelled(settings, settings.nodes[name])
    conditions = [{"type": "Ready", "status": "True"}]
    conditions += [{"type": "EtcdIsVoter", "status": "True"}] if node.role == "server" else []
    taints = [taint.replace("=", ":").split(":") for taint in node.taints]
    notes = {
        cluster.LABELS: ",".join(sorted(node.labels)),
        cluster.TAINTS: ",".join(f"{k}:{e}" for k, _, e in taints),
    }
    return {
        "metadata": {"name": name, "labels": node.labels, "annotations": notes},
        "spec": {"taints": [{"key": k, "value": v, "effect": e} for k, v, e in taints]},
        "status": {
            "nodeInfo": {"kubeletVersion": settings.k3s.version},
            "addresses": [{"type": "InternalIP", "address": str(address)} for address in node.addresses],
            "conditions": conditions,
        },
    }


def cluster_lines(settings: Settings) -> list[str]:
    """What a server of a converged cluster says about it."""
    nodes = {"items": [_kube_node(settings, name) for name in settings.nodes]}
    return ["unit\tactive", "readyz\tok", "nodes", *json.dumps(nodes, indent=4).splitlines()]


def argocd_lines(settings: Settings) -> list[str]:
    """What a server says about Argo CD after the hand-over."""
    wanted = [handover.installed(settings), handover.root(settings)]
    items = [
        {
            "kind": "StatefulSet" if kind == "statefulset" else "Deployment",
            "metadata": {"name": name, "generation": 1},
            "spec": {"replicas": 1},
            "status": {"availableReplicas": 1, "observedGeneration": 1},
        }
        for kind, name in (controller.split("/") for controller in argocd.CONTROLLERS)
    ]
    applied = [f"applied\t{item.name}\t{item.mark}" for item in wanted]
    workloads, applications = (
        json.dumps({"items": found}, indent=4).splitlines() for found in (items, [followed_root(settings)])
    )
    return [*applied, "workloads", *workloads, "applications", *applications]


def followed_root(settings: Settings) -> dict[str, Any]:
    """The root Application after a hand-over that was waited for, without children; a double of Argo CD's answer."""
    root = handover.root(settings)
    spec, metadata = root.body["spec"], root.body["metadata"]
    compared = {"source": spec["source"], "destination": spec["destination"]}
    sync = {"status": "Synced", "comparedTo": compared}
    return root.body | {
        "metadata": metadata | {"annotations": {argocd.FOLLOWED: root.mark}},
        "status": {"sync": sync, "health": {"status": "Healthy"}},
    }
