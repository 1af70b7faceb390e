"""The scale subresource (`kubectl scale`, autoscalers)."""

from typing import Any

from sandbox.errors import bad_request
from sandbox.kinds import Kind
from sandbox.model import ClusterModel, Write
from sandbox.values import Object, clone, dig


def _paths(kind: Kind) -> tuple[list[str], list[str]]:
    declared = kind.scale or {}
    spec = declared.get("specReplicasPath", ".spec.replicas")
    status = declared.get("statusReplicasPath", ".status.replicas")
    return spec.strip(".").split("."), status.strip(".").split(".")


def read_scale(model: ClusterModel, kind: Kind, namespace: str, name: str) -> Object:
    """The `autoscaling/v1` Scale of a workload."""
    item = model.read(kind, namespace, name)
    spec, status = _paths(kind)
    meta = {
        key: item["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    labels = dig(item, "spec", "selector", "matchLabels", default={})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": dig(item, *spec, default=0)},
        "status": {
            "replicas": dig(item, *status, default=0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def write_scale(model: ClusterModel, kind: Kind, namespace: str, name: str, scale: Any, write: Write) -> Object:
    """Set the replicas of a workload through its Scale.

    Raises:
        StatusError: the refusal a client gets.
    """
    replicas = dig(scale, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("spec.replicas must be an integer")
    with model.store.lock:
        item = clone(model.read(kind, namespace, name))
        sent = dig(scale, "metadata", "resourceVersion", default="")
        if sent:
            item["metadata"]["resourceVersion"] = sent
        node = item
        *parents, last = _paths(kind)[0]
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = replicas
        write.subresource = "scale"
        model.replace(kind, kind.version(kind.storage_version), namespace, name, item, write)
        return read_scale(model, kind, namespace, name)
