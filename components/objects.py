"""Building blocks: the Kubernetes objects around a workload. Namespace and owner reference are the executor's."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from api.pods import Ingress
from components.manifest import Manifest
from eventstore.events import ObjectRef
from eventstore.vocabulary import (
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_PLATFORM,
    MANAGED_BY_VALUE,
    ComponentName,
)

LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_VERSION = "app.kubernetes.io/version"
LABEL_PART_OF = "app.kubernetes.io/part-of"
PART_OF_VALUE = "observability-platform"


class Port(msgspec.Struct, frozen=True):
    """A port of a component: the same number in the container and on its Services."""

    name: str
    number: int
    protocol: str = "TCP"
    #: `appProtocol` of the Service port: what meshes and ingress controllers go by.
    app_protocol: str | None = None
    #: False: between the component's own pods only; on the headless Service, not on the normal one.
    public: bool = True


def selector(platform: str, component: ComponentName) -> dict[str, str]:
    """Labels that pods of the component have for ever: what Services and workloads select by. Never add one."""
    return {LABEL_NAME: component.value, LABEL_INSTANCE: platform}


def labels(platform: str, component: ComponentName | None, version: str = "") -> dict[str, str]:
    """Labels of every object of a platform; the version only where it runs, so that an upgrade touches little."""
    found = {
        LABEL_NAME: component.value if component else PART_OF_VALUE,
        LABEL_INSTANCE: platform,
        LABEL_PART_OF: PART_OF_VALUE,
        LABEL_MANAGED_BY: MANAGED_BY_VALUE,
        LABEL_PLATFORM: platform,
    }
    if component:
        found[LABEL_COMPONENT] = component.value
    if version:
        found[LABEL_VERSION] = version
    return found


def manifest(component: ComponentName | None, body: dict[str, Any], **more: Any) -> Manifest:
    """A manifest whose reference is read from its body."""
    ref = ObjectRef(body["apiVersion"], body["kind"], body["metadata"]["name"])
    return Manifest(ref=ref, component=component, body=body, **more)


def metadata(
    name: str,
    platform: str,
    component: ComponentName | None,
    version: str = "",
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`metadata` of an object: name, labels, and annotations if there are any."""
    found: dict[str, Any] = {"name": name, "labels": labels(platform, component, version)}
    if annotations:
        found["annotations"] = dict(annotations)
    return found


def service_account(meta: dict[str, Any], pull_secrets: Iterable[str] = ()) -> dict[str, Any]:
    """A ServiceAccount without any permission and without a token in the pods."""
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta,
        "automountServiceAccountToken": False,
    }
    names = [{"name": name} for name in pull_secrets]
    return body | ({"imagePullSecrets": names} if names else {})


def config_map(meta: dict[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """A ConfigMap of text files."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}


def secret(meta: dict[str, Any]) -> dict[str, Any]:
    """An Opaque Secret without data: the executor fills its keys from the manifest's `secret_sources`."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"}


def _service_port(port: Port) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": port.name,
        "port": port.number,
        "targetPort": port.name,
        "protocol": port.protocol,
    }
    return found | ({"appProtocol": port.app_protocol} if port.app_protocol else {})


def service(
    meta: dict[str, Any], pods: Mapping[str, str], ports: Iterable[Port], service_type: str = "ClusterIP"
) -> dict[str, Any]:
    """The Service that clients use."""
    spec = {"type": service_type, "selector": dict(pods), "ports": [_service_port(p) for p in ports if p.public]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def headless_service(meta: dict[str, Any], pods: Mapping[str, str], ports: Iterable[Port]) -> dict[str, Any]:
    """The Service that gives each pod a DNS name, before it is ready: peers must find each other to become ready."""
    spec = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": dict(pods),
        "ports": [_service_port(p) for p in ports],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def pod_disruption_budget(meta: dict[str, Any], pods: Mapping[str, str]) -> dict[str, Any]:
    """At most one pod of the component is down on purpose."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": dict(pods)}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}


def network_policy(
    meta: dict[str, Any],
    pods: Mapping[str, str],
    rules: Iterable[tuple[list[dict[str, Any]], Iterable[Port]]],
) -> dict[str, Any]:
    """Ingress for the pods: each rule is (peers, ports); no peers means everybody. Nothing else gets in."""
    ingress = []
    for peers, ports in rules:
        rule: dict[str, Any] = {"ports": [{"port": port.name, "protocol": port.protocol} for port in ports]}
        ingress.append(({"from": peers} if peers else {}) | rule)
    spec = {"podSelector": {"matchLabels": dict(pods)}, "policyTypes": ["Ingress"], "ingress": ingress}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def ingress(meta: dict[str, Any], options: Ingress, service_name: str, port: Port) -> dict[str, Any]:
    """The Ingress of one component, for one host."""
    backend = {"service": {"name": service_name, "port": {"name": port.name}}}
    rule = {
        "host": options.host,
        "http": {"paths": [{"path": options.path, "pathType": "Prefix", "backend": backend}]},
    }
    spec: dict[str, Any] = {"rules": [rule]}
    if options.class_name:
        spec["ingressClassName"] = options.class_name
    if options.tls and options.tls.enabled:
        spec["tls"] = [{"hosts": [options.host], "secretName": options.tls.secret_name or f"{meta['name']}-tls"}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}
