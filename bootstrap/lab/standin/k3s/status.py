"""What real controllers would write into `status`, computed when an object is read: no controller runs here.

Argo CD's Applications keep whatever status they have: nothing syncs them.
"""

import datetime as dt
import json
import time
from typing import Any

from .objects import ESTABLISHED_AFTER
from .store import Json

ROLLED_OUT_AFTER = 1.0  # seconds from a change of a workload until it is "available"
NODE_GRACE = 20.0  # seconds without a heartbeat until a node is NotReady


def stamp(when: float) -> str:
    return dt.datetime.fromtimestamp(when, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(name: str, status: bool | str, reason: str, message: str, **times: float) -> Json:
    value = str(status) if isinstance(status, bool) else status
    moments = {f"{key}Time": stamp(when) for key, when in times.items()}
    return {"type": name, "status": value, "reason": reason, "message": message} | moments


def _workload(record: Json) -> Json:
    body = record["object"]
    replicas = (body.get("spec") or {}).get("replicas", 1)
    done = time.time() - record["changed"] >= ROLLED_OUT_AFTER
    ready = replicas if done else 0
    status: Json = {"observedGeneration": body["metadata"].get("generation", 1), "replicas": replicas}
    status |= {"updatedReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready}
    if body["kind"] == "Deployment":
        reason = "MinimumReplicasAvailable" if done else "MinimumReplicasUnavailable"
        status["conditions"] = [
            condition("Available", done, reason, "stand-in: no pods run"),
            condition("Progressing", True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated", ""),
        ]
    return status


def _daemon_set(record: Json) -> Json:
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    generation = record["object"]["metadata"].get("generation", 1)
    return {"observedGeneration": generation, **dict.fromkeys(counts, 0)}


def _definition(record: Json) -> Json:
    body = record["object"]
    established = time.time() - record["created"] >= ESTABLISHED_AFTER
    conditions = [
        condition("NamesAccepted", True, "NoConflicts", "no conflicts found"),
        condition("Established", established, "InitialNamesAccepted" if established else "Installing", ""),
    ]
    versions = [version["name"] for version in body["spec"]["versions"] if version.get("storage")]
    return {"conditions": conditions, "acceptedNames": body["spec"]["names"], "storedVersions": versions}


def _node(record: Json, heartbeat: float, members: dict[str, Json]) -> list[Json]:
    """Ready, the pressure conditions and, on servers of an etcd cluster, EtcdIsVoter."""
    times = {"lastHeartbeat": heartbeat, "lastTransition": record["created"]}
    if time.time() - heartbeat < NODE_GRACE:
        ready = condition("Ready", True, "KubeletReady", "kubelet is posting ready status", **times)
    else:
        words = ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        ready = condition("Ready", "Unknown", *words, **times)
    conditions = [ready]
    name = record["object"]["metadata"]["name"]
    member = next((member for member in members.values() if member["node"] == name), None)
    if member and member["learner"]:
        text = "Node has not been promoted to voting member of the etcd cluster"
        conditions.append(condition("EtcdIsVoter", False, "MemberIsLearner", text, **times))
    elif member:
        text = "Node is a voting member of the etcd cluster"
        conditions.append(condition("EtcdIsVoter", True, "MemberNotLearner", text, **times))
    return conditions


def shown(record: Json, heartbeats: dict[str, float], members: dict[str, Json]) -> Json:
    """The object as `kubectl get -o json` gives it."""
    body: Json = json.loads(json.dumps(record["object"]))
    computed: Any = None
    match body["kind"]:
        case "Deployment" | "StatefulSet" | "ReplicaSet":
            computed = _workload(record)
        case "DaemonSet":
            computed = _daemon_set(record)
        case "CustomResourceDefinition":
            computed = _definition(record)
        case "Namespace":
            computed = {"phase": "Active"}
        case "Node":
            heartbeat = heartbeats.get(body["metadata"]["name"]) or float(record["created"])
            computed = body.get("status", {}) | {"conditions": _node(record, heartbeat, members)}
            if computed["conditions"][0]["status"] != "True":
                taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
                body.setdefault("spec", {}).setdefault("taints", []).append(taint)
    if computed is not None:
        body["status"] = computed
    return body
