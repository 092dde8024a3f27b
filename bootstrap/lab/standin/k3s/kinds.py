"""The kinds that the API knows: those that a deploy and Argo CD's manifest use, and those of CustomResourceDefinitions."""

from collections.abc import Iterable
from dataclasses import dataclass

from .state import Json

# apiVersion and kinds; a ! marks a kind without namespace
_TABLE = """
v1 Namespace! Node! Pod Service ServiceAccount ConfigMap Secret
apps/v1 Deployment StatefulSet
rbac.authorization.k8s.io/v1 Role RoleBinding ClusterRole! ClusterRoleBinding!
networking.k8s.io/v1 NetworkPolicy
apiextensions.k8s.io/v1 CustomResourceDefinition!
"""


@dataclass(frozen=True)
class Kind:
    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    namespaced: bool

    @property
    def resource(self) -> str:
        """As error texts name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}".rstrip(".")

    def title(self, name: str) -> str:
        """As kubectl prints an object: `deployment.apps/argocd-server`."""
        return f"{f'{self.kind.lower()}.{self.group}'.rstrip('.')}/{name}"

    def key(self, namespace: str, name: str) -> str:
        return f"{self.plural}.{self.group}/{namespace if self.namespaced else ''}/{name}"

    def answers_to(self, word: str) -> bool:
        """Plural or singular, with or without the group; of the short names only `crd`."""
        name, _, group = word.lower().partition(".")
        names = {self.plural, self.kind.lower()} | (
            {"crd"} if self.kind == "CustomResourceDefinition" else set()
        )
        return name in names and group in ("", self.group)


def _builtin() -> Iterable[Kind]:
    for line in _TABLE.strip().splitlines():
        api, *words = line.split()
        group, _, version = api.rpartition("/")
        for word in words:
            kind = word.rstrip("!")
            plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
            yield Kind(group, (version,), kind, plural, not word.endswith("!"))


BUILTIN = {kind.kind: kind for kind in _builtin()}
NAMESPACE, NODE, SECRET, CRD = (
    BUILTIN[name] for name in ("Namespace", "Node", "Secret", "CustomResourceDefinition")
)


def from_definition(definition: Json) -> Kind:
    spec, names = definition["spec"], definition["spec"]["names"]
    versions = tuple(version["name"] for version in spec["versions"])
    return Kind(spec["group"], versions, names["kind"], names["plural"], spec["scope"] == "Namespaced")
