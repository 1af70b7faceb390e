"""What checkers share: whose an object is, and what of it may differ from run to run."""

from typing import Any

from reconciler.shell.cluster import KubernetesObject


def owner_uid(item: KubernetesObject) -> str:
    """Uid of the platform that controls the object; "" if none does."""
    for owner in item["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "ObservabilityPlatform":
            return str(owner["uid"])
    return ""


#: What differs from run to run by its nature, or is the business of others.
VOLATILE = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs", "generation", "time"}
)


def masked(value: Any) -> Any:
    """An object without what differs from run to run, and without its status."""
    if isinstance(value, dict):
        return {key: masked(entry) for key, entry in value.items() if key not in VOLATILE and key != "status"}
    return [masked(entry) for entry in value] if isinstance(value, list) else value
