"""The kinds that the API knows: a table of built-in ones, and those of CustomResourceDefinitions."""

from collections.abc import Iterable
from dataclasses import dataclass

from .store import Json

# versions group | plural:Kind[:short,…], a trailing ! marks a kind without namespace
_TABLE = """
v1 | namespaces:Namespace:ns! nodes:Node:no! pods:Pod:po services:Service:svc serviceaccounts:ServiceAccount:sa
v1 | configmaps:ConfigMap:cm secrets:Secret persistentvolumes:PersistentVolume:pv! endpoints:Endpoints:ep events:Event:ev
v1 | persistentvolumeclaims:PersistentVolumeClaim:pvc limitranges:LimitRange resourcequotas:ResourceQuota:quota
apps/v1 | deployments:Deployment:deploy statefulsets:StatefulSet:sts daemonsets:DaemonSet:ds replicasets:ReplicaSet:rs
batch/v1 | jobs:Job cronjobs:CronJob:cj
rbac.authorization.k8s.io/v1 | roles:Role rolebindings:RoleBinding clusterroles:ClusterRole!
rbac.authorization.k8s.io/v1 | clusterrolebindings:ClusterRoleBinding!
networking.k8s.io/v1 | networkpolicies:NetworkPolicy:netpol ingresses:Ingress:ing ingressclasses:IngressClass!
apiextensions.k8s.io/v1 | customresourcedefinitions:CustomResourceDefinition:crd,crds!
storage.k8s.io/v1 | storageclasses:StorageClass:sc!
policy/v1 | poddisruptionbudgets:PodDisruptionBudget:pdb
scheduling.k8s.io/v1 | priorityclasses:PriorityClass:pc!
autoscaling/v2 | horizontalpodautoscalers:HorizontalPodAutoscaler:hpa
admissionregistration.k8s.io/v1 | validatingwebhookconfigurations:ValidatingWebhookConfiguration!
admissionregistration.k8s.io/v1 | mutatingwebhookconfigurations:MutatingWebhookConfiguration!
apiregistration.k8s.io/v1 | apiservices:APIService!
coordination.k8s.io/v1 | leases:Lease
discovery.k8s.io/v1 | endpointslices:EndpointSlice
"""


@dataclass(frozen=True)
class Kind:
    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    singular: str
    short: tuple[str, ...]
    namespaced: bool

    @property
    def resource(self) -> str:
        """As error texts name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def title(self, name: str) -> str:
        """As kubectl prints an object: `deployment.apps/argocd-server`."""
        return f"{self.singular}.{self.group}/{name}" if self.group else f"{self.singular}/{name}"

    def key(self, namespace: str, name: str) -> str:
        return f"{self.plural}.{self.group}/{namespace if self.namespaced else ''}/{name}"


def _builtin() -> Iterable[Kind]:
    for line in _TABLE.strip().splitlines():
        api, _, rest = line.partition(" | ")
        group, _, version = api.rpartition("/")
        for word in rest.split():
            plural, kind, *short = word.rstrip("!").split(":")
            names = tuple(short[0].split(",")) if short else ()
            yield Kind(group, (version,), kind, plural, kind.lower(), names, not word.endswith("!"))


BUILTIN = tuple(_builtin())
NAMESPACE, NODE, SECRET, CRD = (
    next(kind for kind in BUILTIN if kind.kind == name)
    for name in ("Namespace", "Node", "Secret", "CustomResourceDefinition")
)


def from_definition(definition: Json) -> Kind:
    spec = definition["spec"]
    names = spec["names"]
    return Kind(
        spec["group"],
        tuple(version["name"] for version in spec["versions"]),
        names["kind"],
        names["plural"],
        names.get("singular") or names["kind"].lower(),
        tuple(names.get("shortNames") or ()),
        spec["scope"] == "Namespaced",
    )


def find(kinds: Iterable[Kind], word: str) -> Kind | None:
    """By what is typed after `kubectl get`: plural, singular, kind, short name, each with or without its group."""
    name, _, group = word.lower().partition(".")
    for kind in kinds:
        if name in (kind.plural, kind.singular, kind.kind.lower(), *kind.short):
            versioned = [f"{version}.{kind.group}" for version in kind.versions]
            if group in ("", kind.group, *versioned):
                return kind
    return None


def match(kinds: Iterable[Kind], api_version: str, name: str) -> Kind | None:
    group, _, version = api_version.rpartition("/")
    return next(
        (kind for kind in kinds if (kind.group, kind.kind) == (group, name) and version in kind.versions),
        None,
    )
