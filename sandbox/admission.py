"""What a creation needs of the cluster around it: a namespace that lives, addresses, a default class."""

from itertools import count

from sandbox import claims
from sandbox.errors import Cause, forbidden, not_found
from sandbox.kinds import NAMESPACE_KEY, GroupKind, Kind
from sandbox.store import Store
from sandbox.values import Object, clone, dig

SERVICES = GroupKind("", "services")
#: What Go writes of a status that says nothing yet.
_FIRST_STATUS: dict[GroupKind, Object] = {
    GroupKind("apps", "deployments"): {},
    GroupKind("apps", "replicasets"): {"replicas": 0},
    GroupKind("apps", "statefulsets"): {"replicas": 0, "availableReplicas": 0},
    SERVICES: {"loadBalancer": {}},
    GroupKind("networking.k8s.io", "ingresses"): {"loadBalancer": {}},
    GroupKind("policy", "poddisruptionbudgets"): {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    GroupKind("", "resourcequotas"): {},
}


def check_namespace(store: Store, kind: Kind, namespace: str, name: str) -> None:
    """Refuse what would be created in a namespace that is absent or on its way out.

    Raises:
        StatusError: 404 or 403.
    """
    if not kind.namespaced:
        return
    found = store.get(NAMESPACE_KEY, ("", namespace))
    if found is None:
        raise not_found("namespaces", "", namespace)
    if found["metadata"].get("deletionTimestamp"):
        text = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause: Cause = ("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        raise forbidden(kind.plural, kind.group, name, text, [cause])


def allocate(store: Store, kind: Kind, item: Object) -> None:
    """Fill in what only the server knows, in place: the address of a Service, the class of a claim, an empty status."""
    if kind.key in _FIRST_STATUS:
        item.setdefault("status", clone(_FIRST_STATUS[kind.key]))
    if kind.key == SERVICES and dig(item, "spec", "type") != "ExternalName":
        spec = item["spec"]
        if not spec.get("clusterIP"):
            spec["clusterIP"] = _free_address(store)
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec.get("type") in ("NodePort", "LoadBalancer") and spec.get("allocateLoadBalancerNodePorts") is not False:
            _give_node_ports(store, spec.get("ports") or [])
    elif kind.key == claims.CLAIMS:
        claims.complete(store, item)


def keep_address(kind: Kind, before: Object, after: Object) -> None:
    """A Service that is written without its address keeps it, in place."""
    if kind.key == SERVICES and dig(after, "spec", "type") != "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not dig(after, "spec", field) and dig(before, "spec", field):
                after["spec"][field] = before["spec"][field]


def _free_address(store: Store) -> str:
    taken = {dig(item, "spec", "clusterIP") for item in store.items(SERVICES)}
    candidates = (f"10.96.{number // 250}.{number % 250 + 1}" for number in count(1))
    return next(address for address in candidates if address not in taken)


def _give_node_ports(store: Store, ports: list[Object]) -> None:
    """A port of every node for each port that has none."""
    services = store.items(SERVICES)
    taken = {port.get("nodePort") for item in services for port in dig(item, "spec", "ports", default=[])}
    taken |= {port.get("nodePort") for port in ports}
    free = (number for number in range(30000, 32768) if number not in taken)
    for port in ports:
        if not port.get("nodePort"):
            port["nodePort"] = next(free)
