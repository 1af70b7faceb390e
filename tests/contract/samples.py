"""Small objects for contract tests; in the test's own namespace unless they name another."""

from typing import Any

from tests.contract.server import Object

PLATFORM_VERSION = "observability.io/v1beta1"


def config_map(name: str = "", labels: dict[str, str] | None = None, **data: str) -> Object:
    """A ConfigMap; without a name it stands for the collection."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(name, labels), "data": data or {"a": "1"}}


def widget(name: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A Widget (tests/sandbox/widgets.yaml)."""
    meta = _meta(name, labels)
    return {"apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": meta, "spec": spec or {"size": 1}}


def platform(name: str = "prod", version: str = PLATFORM_VERSION, **spec: Any) -> Object:
    """One of our own; with Grafana alone unless a spec is given."""
    body = spec or {"components": {"grafana": {"enabled": True}}}
    return {"apiVersion": version, "kind": "ObservabilityPlatform", "metadata": _meta(name), "spec": body}


def component(**fields: Any) -> Object:
    """Spec of a platform with one component, Prometheus, and these fields in it."""
    return {"components": {"prometheus": {"enabled": True, **fields}}}


def workload(
    kind: str = "Deployment", name: str = "web", replicas: int = 1, image: str = "web:1.0", **spec: Any
) -> Object:
    """A Deployment or a StatefulSet of one container."""
    labels = {"app": name}
    container = {"name": "main", "image": image, "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body: Object = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    if kind == "StatefulSet":
        body["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _meta(name), "spec": body}


def claimed(name: str = "db", replicas: int = 1, image: str = "db:1.0", **spec: Any) -> Object:
    """A StatefulSet with a volume claim of 1Gi for each pod."""
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return workload("StatefulSet", name, replicas, image, volumeClaimTemplates=[claim], **spec)


def names(listing: Object) -> list[str]:
    """Names of the items, in their order."""
    return [item["metadata"]["name"] for item in listing["items"]]


def _meta(name: str, labels: dict[str, str] | None = None) -> Object:
    return {**({"name": name} if name else {}), **({"labels": labels} if labels else {})}
