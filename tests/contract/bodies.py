"""Objects that the contract tests send, without a namespace: the server's test namespace is filled in by the URL."""

from typing import Any

Object = dict[str, Any]

GROUP_VERSION = "observability.io/v1beta1"


def config_map(name: str = "c1", **data: str) -> Object:
    """A ConfigMap with the given data, or one key."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"a": "1"}}


def secret(name: str = "s1", **fields: Any) -> Object:
    """A Secret; `fields` are data, stringData, type, immutable."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


def widget(name: str = "w1", **spec: Any) -> Object:
    """A Widget (tests/sandbox/widgets.yaml)."""
    return {
        "apiVersion": "example.com/v1beta1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": spec or {"size": 1},
    }


def platform(name: str = "p1", **spec: Any) -> Object:
    """An ObservabilityPlatform with Prometheus alone, or the given spec."""
    return {
        "apiVersion": GROUP_VERSION,
        "kind": "ObservabilityPlatform",
        "metadata": {"name": name},
        "spec": spec or {"components": {"prometheus": {"version": "3.13.2"}}},
    }


def deployment(name: str = "web", **spec: Any) -> Object:
    """A Deployment of one container and no pods, so that nothing of it moves; `container` adds to the container."""
    return _workload("Deployment", name, spec)


def stateful_set(name: str = "web", **spec: Any) -> Object:
    """The same as a StatefulSet."""
    return _workload("StatefulSet", name, {"serviceName": name, **spec})


def _workload(kind: str, name: str, spec: Object) -> Object:
    labels = {"app": name}
    container = {"name": "main", "image": "web:1.0", **spec.pop("container", {})}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec.pop("pod", {})}}
    body = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def service(name: str = "web", **spec: Any) -> Object:
    """A Service with one port."""
    body = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> Object:
    """A PersistentVolumeClaim of a class that nothing provisions."""
    body = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "nobody",
        "resources": {"requests": {"storage": size}},
        **spec,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": body}


def quota(name: str = "limits", **hard: str) -> Object:
    """A ResourceQuota; `count__configmaps` stands for `count/configmaps`."""
    limits = {key.replace("__", "/"): value for key, value in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": limits}}


def with_metadata(body: Object, **metadata: Any) -> Object:
    """The object with more metadata."""
    return {**body, "metadata": {**body["metadata"], **metadata}}


def owned_by(body: Object, owner: Object, **fields: Any) -> Object:
    """The object with an owner reference to a live object."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **fields,
    }
    return with_metadata(body, ownerReferences=[reference])
