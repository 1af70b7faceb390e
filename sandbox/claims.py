"""PersistentVolumeClaims at admission: the default class, and whether a claim may grow."""

from sandbox.errors import forbidden
from sandbox.kinds import GroupKind, Kind
from sandbox.store import Store
from sandbox.values import Object, dig, quantity

CLAIMS = GroupKind("", "persistentvolumeclaims")
CLASSES = GroupKind("storage.k8s.io", "storageclasses")
_PODS = GroupKind("", "pods")
PROTECTION = "kubernetes.io/pvc-protection"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def complete(store: Store, item: Object) -> None:
    """Give a new claim the default class and the finalizer that holds it while a pod uses it, in place."""
    if "storageClassName" not in item["spec"]:
        name = default_class(store)
        if name:
            item["spec"]["storageClassName"] = name
    held = item["metadata"].setdefault("finalizers", [])
    if PROTECTION not in held:
        held.append(PROTECTION)
    item.setdefault("status", {"phase": "Pending"})


def is_used(store: Store, claim: Object) -> bool:
    """Whether a pod that has not ended mounts the claim."""
    namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
    return any(
        dig(volume, "persistentVolumeClaim", "claimName") == name
        for pod in store.items(_PODS, namespace)
        if dig(pod, "status", "phase") not in ("Succeeded", "Failed")
        for volume in dig(pod, "spec", "volumes", default=[])
    )


def default_class(store: Store) -> str:
    """Name of the default storage class; "" if there is none."""
    for found in store.items(CLASSES):
        if dig(found, "metadata", "annotations", default={}).get(_DEFAULT) == "true":
            return str(found["metadata"]["name"])
    return ""


def admit_growth(store: Store, kind: Kind, before: Object, after: Object) -> None:
    """Let a claim grow, if its class allows that.

    Raises:
        StatusError: 403, in the words of the admission plugin.
    """
    if kind.key != CLAIMS:
        return
    old, new = (
        quantity(dig(item, "spec", "resources", "requests", "storage", default="0")) for item in (before, after)
    )
    if new <= old:
        return
    found = store.get(CLASSES, ("", dig(after, "spec", "storageClassName", default="")))
    if found is None or not found.get("allowVolumeExpansion"):
        text = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
            "resize"
        )
        raise forbidden(kind.plural, kind.group, after["metadata"]["name"], text)
