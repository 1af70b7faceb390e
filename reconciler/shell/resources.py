"""The kinds the operator reads, watches and writes, as data: RBAC and URLs follow from this table. Pure."""

import msgspec

from eventstore.vocabulary import (
    GROUP,
    KIND,
    LABEL_MANAGED_BY,
    MANAGED_BY_VALUE,
    PLURAL,
    SERVED_VERSIONS,
    STORED_VERSION,
)
from reconciler.shell.cluster import Resource

PLATFORM = Resource(f"{GROUP}/{STORED_VERSION}", KIND, PLURAL)
STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
SERVICE = Resource("v1", "Service", "services")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
SECRET = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNT = Resource("v1", "ServiceAccount", "serviceaccounts")
INGRESS = Resource("networking.k8s.io/v1", "Ingress", "ingresses")
NETWORK_POLICY = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD_DISRUPTION_BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD = Resource("v1", "Pod", "pods")
RESOURCE_QUOTA = Resource("v1", "ResourceQuota", "resourcequotas")
EVENT = Resource("events.k8s.io/v1", "Event", "events")

_OURS = f"{LABEL_MANAGED_BY}={MANAGED_BY_VALUE}"


class WatchedResource(msgspec.Struct, frozen=True):
    """A kind that is kept in memory by a watch."""

    resource: Resource
    label_selector: str = ""
    #: A change concerns every platform of the namespace, not the one named by a label.
    namespace_wide: bool = False


#: Secrets are not here: they are read by name, never listed or watched.
WATCHED: tuple[WatchedResource, ...] = (
    WatchedResource(PLATFORM),
    WatchedResource(STATEFUL_SET, _OURS),
    WatchedResource(DEPLOYMENT, _OURS),
    WatchedResource(SERVICE, _OURS),
    WatchedResource(CONFIG_MAP, _OURS),
    WatchedResource(SERVICE_ACCOUNT, _OURS),
    WatchedResource(INGRESS, _OURS),
    WatchedResource(NETWORK_POLICY, _OURS),
    WatchedResource(POD_DISRUPTION_BUDGET, _OURS),
    WatchedResource(POD, _OURS),
    WatchedResource(RESOURCE_QUOTA, namespace_wide=True),
)

_BY_KIND: dict[tuple[str, str], Resource] = {
    (resource.api_version, resource.kind): resource
    for resource in (*(watched.resource for watched in WATCHED), SECRET, EVENT)
} | {(f"{GROUP}/{version}", KIND): Resource(f"{GROUP}/{version}", KIND, PLURAL) for version in SERVED_VERSIONS}


def resource_for(api_version: str, kind: str) -> Resource:
    """How a kind stands in URLs.

    Raises:
        KeyError: a kind the operator has no business with.
    """
    return _BY_KIND[api_version, kind]
