"""Objects of kubernetes/ as the tests here see them."""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Build = Callable[[str], list[Object]]

# The kinds that live in no namespace, of those that are used here.
NOT_IN_A_NAMESPACE = {
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterSecretStore",
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "StorageClass",
}


def named(objects: list[Object], kind: str) -> dict[str, Object]:
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}
