"""Keeps of an object what the operator reads, so that hundreds of platforms fit in memory. Pure."""

import hashlib
from typing import Any

from reconciler.core.ownership import OWNERSHIP_KEY, read_ownership
from reconciler.shell.cluster import KubernetesObject

#: Annotation of client-side apply: a second copy of the object, secrets in the spec included.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_POD_STATUS = (
    "phase",
    "reason",
    "message",
    "startTime",
    "conditions",
    "containerStatuses",
    "initContainerStatuses",
)
_POD_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "labels")


def slim(obj: KubernetesObject) -> KubernetesObject:
    """A copy of the object without what is never read; the original is not changed.

    managedFields become an `Ownership` (read it with `reconciler.core.ownership`), values in ConfigMaps become digests,
    those in Secrets are dropped, Pods keep identity, images and status. Slimming a slimmed object gives the same again.
    """
    if obj.get("kind") == "Pod":
        return _slim_pod(obj)
    metadata = dict(obj.get("metadata") or {})
    slimmed = {**obj, "metadata": metadata, OWNERSHIP_KEY: read_ownership(obj)}
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and _LAST_APPLIED in annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    for key in ("data", "binaryData", "stringData"):
        if isinstance(obj.get(key), dict):
            # Not even a hash of a Secret's value: a weak password can be guessed from it.
            keep = _nothing if obj.get("kind") == "Secret" else _digest
            slimmed[key] = {name: keep(value) for name, value in obj[key].items()}
    return slimmed


def _slim_pod(pod: KubernetesObject) -> KubernetesObject:
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    return {
        "apiVersion": pod.get("apiVersion", "v1"),
        "kind": "Pod",
        "metadata": {
            **{key: metadata[key] for key in _POD_METADATA if key in metadata},
            "ownerReferences": [
                {key: owner.get(key) for key in ("kind", "name", "uid")}
                for owner in metadata.get("ownerReferences") or ()
            ],
        },
        "spec": {
            "nodeName": spec.get("nodeName", ""),
            "containers": _images(spec.get("containers")),
            "initContainers": _images(spec.get("initContainers")),
        },
        "status": {key: status[key] for key in _POD_STATUS if key in status},
    }


def _images(containers: Any) -> list[dict[str, Any]]:
    return [{key: container[key] for key in ("name", "image") if key in container} for container in containers or ()]


def _digest(value: Any) -> str:
    text = str(value)
    if text.startswith("sha256:") and len(text) == 71:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _nothing(_value: Any) -> str:
    return ""
