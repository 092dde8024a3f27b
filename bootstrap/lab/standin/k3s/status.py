"""What real controllers would write into `status`, computed when an object is read: no controller runs here.

Of Argo CD's Applications only root gets one, so that a hand-over comes to its end, and it says that nothing was synced.
"""

import time

from .objects import ESTABLISHED_AFTER, stamp
from .state import Json

ROLLED_OUT_AFTER = 1.0  # seconds from a change of a workload until it is "available"
NODE_GRACE = 20.0  # seconds without a heartbeat until a node is not Ready


def shown(record: Json, heartbeat: float, member: Json | None) -> Json:
    """The object as `kubectl get -o json` gives it; the last two are of interest for a Node."""
    body: Json = record["object"]
    match body["kind"]:
        case "Deployment" | "StatefulSet":
            return body | {"status": _workload(record)}
        case "CustomResourceDefinition":
            established = time.time() - record["created"] >= ESTABLISHED_AFTER
            return body | {
                "status": {"conditions": [_condition("Established", established, "InitialNamesAccepted")]}
            }
        case "Namespace":
            return body | {"status": {"phase": "Active"}}
        case "Node":
            return _node(body, heartbeat, member)
        case "Application" if body["metadata"]["name"] == "root":
            return body | {"status": _root(body["spec"])}
    return body


def _condition(name: str, status: bool | str, reason: str) -> Json:
    return {"type": name, "status": str(status), "reason": reason, "message": "computed by the stand-in"}


def _workload(record: Json) -> Json:
    body = record["object"]
    done = time.time() - record["changed"] >= ROLLED_OUT_AFTER
    replicas = (body.get("spec") or {}).get("replicas", 1)
    counts = dict.fromkeys(("readyReplicas", "availableReplicas", "updatedReplicas"), replicas if done else 0)
    conditions = (
        [_condition("Available", done, "MinimumReplicasAvailable")] if body["kind"] == "Deployment" else []
    )
    generation = body["metadata"]["generation"]
    return {"observedGeneration": generation, "replicas": replicas, **counts, "conditions": conditions}


def _root(spec: Json) -> Json:
    """Synced and Healthy at once, without any child."""
    compared = {key: spec[key] for key in ("source", "sources", "destination") if key in spec}
    told = {"type": "StandInWarning", "message": "nothing was synced: the stand-in only plays Argo CD"}
    return {
        "sync": {"status": "Synced", "comparedTo": compared},
        "health": {"status": "Healthy"},
        "conditions": [told],
    }


def _node(body: Json, heartbeat: float, member: Json | None) -> Json:
    """Ready and, on servers, EtcdIsVoter; a silent node is tainted as the node lifecycle controller does."""
    alive = time.time() - heartbeat < NODE_GRACE
    ready = _condition("Ready", alive or "Unknown", "KubeletReady" if alive else "NodeStatusUnknown")
    conditions = [ready | {"lastHeartbeatTime": stamp(heartbeat)}]
    if member:
        reason = "MemberIsLearner" if member["learner"] else "MemberNotLearner"
        conditions.append(_condition("EtcdIsVoter", not member["learner"], reason))
    unreachable = [] if alive else [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    taints = [*(body["spec"].get("taints") or []), *unreachable]
    spec = {key: value for key, value in (body["spec"] | {"taints": taints}).items() if value != []}
    return body | {"spec": spec, "status": body["status"] | {"conditions": conditions}}
