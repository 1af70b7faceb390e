"""What manifests would use up of a ResourceQuota, so that a full one is seen before anything is created."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from components.manifest import Manifest
from components.quantities import parse_quantity

#: Kind -> (name in a quota of its own or "", name in `count/<name>`).
_COUNTED = {
    "ConfigMap": ("configmaps", "configmaps"),
    "Deployment": ("", "deployments.apps"),
    "Ingress": ("", "ingresses.networking.k8s.io"),
    "NetworkPolicy": ("", "networkpolicies.networking.k8s.io"),
    "PodDisruptionBudget": ("", "poddisruptionbudgets.policy"),
    "Secret": ("secrets", "secrets"),
    "Service": ("services", "services"),
    "ServiceAccount": ("", "serviceaccounts"),
    "StatefulSet": ("", "statefulsets.apps"),
}


def quota_needs(manifests: Iterable[Manifest]) -> dict[str, Decimal]:
    """Resource name as in `ResourceQuota.spec.hard` -> amount, in cores, bytes or objects.

    Pods without a request or limit count nothing towards it; a quota on that resource refuses them all the same.
    """
    needs: dict[str, Decimal] = {}
    for manifest in manifests:
        own, counted = _COUNTED.get(manifest.ref.kind, ("", ""))
        for name in (own, f"count/{counted}" if counted else ""):
            _add(needs, name, Decimal(1))
        if manifest.ref.kind == "Service":
            _service(needs, manifest.body["spec"])
        elif manifest.ref.kind in ("Deployment", "StatefulSet"):
            _workload(needs, manifest.body["spec"])
    return dict(sorted(needs.items()))


def _add(needs: dict[str, Decimal], name: str, amount: Decimal) -> None:
    if name:
        needs[name] = needs.get(name, Decimal(0)) + amount


def _service(needs: dict[str, Decimal], spec: dict[str, Any]) -> None:
    kind = spec.get("type")
    if kind == "LoadBalancer":
        _add(needs, "services.loadbalancers", Decimal(1))
    if kind in ("LoadBalancer", "NodePort"):
        _add(needs, "services.nodeports", Decimal(len(spec["ports"])))


def _workload(needs: dict[str, Decimal], spec: dict[str, Any]) -> None:
    replicas = Decimal(spec.get("replicas", 1))
    _add(needs, "pods", replicas)
    _add(needs, "count/pods", replicas)
    for container in spec["template"]["spec"]["containers"]:
        amounts = container.get("resources", {})
        limits = amounts.get("limits", {})
        # The API server fills a missing request from the limit.
        requests = {**limits, **amounts.get("requests", {})}
        for unit, amount in requests.items():
            _add(needs, f"requests.{unit}", replicas * parse_quantity(amount))
            _add(needs, unit, replicas * parse_quantity(amount))
        for unit, amount in limits.items():
            _add(needs, f"limits.{unit}", replicas * parse_quantity(amount))
    for claim in spec.get("volumeClaimTemplates", []):
        _claim(needs, claim["spec"], replicas)


def _claim(needs: dict[str, Decimal], spec: dict[str, Any], replicas: Decimal) -> None:
    size = replicas * parse_quantity(spec["resources"]["requests"]["storage"])
    _add(needs, "persistentvolumeclaims", replicas)
    _add(needs, "count/persistentvolumeclaims", replicas)
    _add(needs, "requests.storage", size)
    if spec.get("storageClassName"):
        prefix = f"{spec['storageClassName']}.storageclass.storage.k8s.io"
        _add(needs, f"{prefix}/requests.storage", size)
        _add(needs, f"{prefix}/persistentvolumeclaims", replicas)
