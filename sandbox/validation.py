"""What a server refuses about metadata and built-in kinds: names, labels and the rules an operator can run into."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox import namerules
from sandbox.errors import Cause, duplicate_value, forbidden_field, invalid_value, required, unsupported_value
from sandbox.podrules import pod_spec_causes, port_causes
from sandbox.selectors import matches_labels
from sandbox.values import Object, dig, quantity

_ANNOTATIONS_MAX = 256 * 1024
_DATA_MAX = 1024 * 1024
_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
#: Type of a Secret -> the keys it must have.
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}
#: Kinds whose name becomes part of a host name.
_LABEL_NAMED = ("Service", "Namespace", "StatefulSet")


def metadata_causes(kind: str, meta: Object, *, custom: bool = False) -> Iterator[Cause]:
    """What is wrong with `.metadata`."""
    name = meta.get("name", "")
    faults = namerules.subdomain_faults
    if kind in _LABEL_NAMED and not custom:
        faults = namerules.plain_label_faults if kind == "Namespace" else namerules.label_faults
    for text in faults(name):
        yield invalid_value("metadata.name", name, text)
    annotations = meta.get("annotations") or {}
    for key in annotations:
        # Prefixes in capitals have always been let in.
        for text in namerules.qualified_faults(key.lower()):
            yield invalid_value("metadata.annotations", key, text)
    if sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items()) > _ANNOTATIONS_MAX:
        yield "FieldValueTooLong", "Too long: may not be more than 262144 bytes", "metadata.annotations"
    yield from label_causes(meta.get("labels") or {}, "metadata.labels")
    yield from _owner_causes(meta.get("ownerReferences") or [])
    yield from _finalizer_causes(meta.get("finalizers") or [], custom=custom)


def _owner_causes(owners: list[Object]) -> Iterator[Cause]:
    for at, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield required(f"metadata.ownerReferences[{at}].{field}", "must not be empty")
        if owner.get("kind") == "Event" and owner.get("apiVersion") == "v1":
            text = "/v1, Kind=Event is disallowed from being an owner"
            yield invalid_value(f"metadata.ownerReferences[{at}]", owner, text)
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        first, second = (f"{owner.get('kind')}/{owner.get('name')}" for owner in controllers[:2])
        text = (
            f'Only one reference can have Controller set to true. Found "true" in references for {first} and {second}'
        )
        yield invalid_value("metadata.ownerReferences", owners, text)


def _finalizer_causes(finalizers: list[Any], *, custom: bool) -> Iterator[Cause]:
    for at, name in enumerate(finalizers):
        for text in namerules.qualified_faults(str(name)):
            yield invalid_value("metadata.finalizers", name, text)
        # Custom resources get a warning for this.
        if "/" not in str(name) and name not in _STANDARD_FINALIZERS and not custom:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{at}]", name, text)


def label_causes(labels: Object, path: str) -> Iterator[Cause]:
    """What is wrong with a map of labels."""
    for key, value in labels.items():
        for text in namerules.qualified_faults(key):
            yield invalid_value(path, key, text)
        for text in namerules.label_value_faults(str(value)):
            yield invalid_value(path, value, text)


def builtin_causes(kind: str, item: Object) -> Iterator[Cause]:
    """What is wrong with the rest of a built-in object."""
    function = _CHECKS.get(kind)
    if function:
        yield from function(item)


def check_secret_encoding(data: Any) -> str | None:
    """Why the data of a Secret cannot be read; None if it can."""
    for value in data.values() if isinstance(data, dict) else ():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            found = re.search(r"[^A-Za-z0-9+/=\r\n]", str(value))
            return f"illegal base64 data at input byte {found.start() if found else len(str(value))}"
    return None


def _data(item: Object) -> Iterator[Cause]:
    total = 0
    for field in ("data", "binaryData"):
        for key, value in (item.get(field) or {}).items():
            total += len(str(value).encode())
            for text in namerules.data_key_faults(key):
                yield invalid_value(f"{field}[{key}]", key, text)
    if total > _DATA_MAX:
        yield "FieldValueTooLong", f"Too long: may not be more than {_DATA_MAX} bytes", "[]"


def _secret(item: Object) -> Iterator[Cause]:
    data = item.get("data") or {}
    for key in data:
        for text in namerules.data_key_faults(key):
            yield invalid_value(f"data[{key}]", key, text)
    if sum(len(str(value)) * 3 // 4 for value in data.values()) > _DATA_MAX:
        yield "FieldValueTooLong", f"Too long: may not be more than {_DATA_MAX} bytes", "data"
    if item.get("type") == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        yield from (required(f"data[{key}]") for key in ("username", "password"))
    for key in _SECRET_KEYS.get(item.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")


def _service(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    ports, kind = spec.get("ports") or [], spec.get("type")
    if not ports and spec.get("clusterIP") != "None" and kind != "ExternalName":
        yield required("spec.ports")
    seen: set[Any] = set()
    for at, port in enumerate(ports):
        path = f"spec.ports[{at}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{path}.name")
        elif port.get("name") in seen:
            yield duplicate_value(f"{path}.name", port["name"])
        seen.add(port.get("name") or None)
        yield from port_causes(port.get("port"), f"{path}.port")
        if isinstance(port.get("targetPort"), int):
            yield from port_causes(port["targetPort"], f"{path}.targetPort")
    places = [(port.get("protocol"), port.get("port")) for port in ports]
    for at, (protocol, number) in enumerate(places):
        if (protocol, number) in places[:at]:
            shown = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
            yield duplicate_value(f"spec.ports[{at}]", {**shown, "TargetPort": 0, "NodePort": 0})
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if kind not in kinds:
        yield unsupported_value("spec.type", kind, kinds)


def _workload(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if (spec.get("replicas") or 0) < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector = spec.get("selector")
    labels = dict(sorted(dig(spec, "template", "metadata", "labels", default={}).items()))
    if selector is None:
        yield required("spec.selector")
    elif not selector:
        word = {"StatefulSet": "statefulset"}.get(item["kind"], "deployment")
        yield invalid_value("spec.selector", {}, f"empty selector is invalid for {word}")
    if selector != {} and not (selector and matches_labels(selector, labels)):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from label_causes(labels, "spec.template.labels")
    pod = dig(spec, "template", "spec", default={})
    if pod.get("restartPolicy") not in (None, "Always"):
        yield unsupported_value("spec.template.spec.restartPolicy", pod["restartPolicy"], ("Always",))
    claims = [str(dig(claim, "metadata", "name", default="")) for claim in spec.get("volumeClaimTemplates") or []]
    yield from pod_spec_causes(pod, "spec.template.spec", claims)


def _deployment(item: Object) -> Iterator[Cause]:
    yield from _workload(item)
    strategy = dig(item, "spec", "strategy", default={})
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield unsupported_value("spec.strategy", shown, ("Recreate", "RollingUpdate"))
    elif kind == "Recreate" and rolling:
        text = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", text)
    for name in ("maxUnavailable", "maxSurge") if rolling else ():
        yield from _share(rolling.get(name), f"spec.strategy.rollingUpdate.{name}")
    if rolling and {rolling.get("maxSurge"), rolling.get("maxUnavailable")} <= {0, "0%"}:
        text = "may not be 0 when `maxSurge` is 0"
        yield invalid_value("spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), text)


def _share(value: Any, path: str) -> Iterator[Cause]:
    """A number of pods, or a percentage of them."""
    if isinstance(value, str) and not _PERCENT.fullmatch(value):
        yield invalid_value(path, value, _PERCENT_TEXT)
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def _stateful_set(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        text = "must be 'OrderedReady' or 'Parallel'"
        yield invalid_value("spec.podManagementPolicy", spec.get("podManagementPolicy"), text)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in ("RollingUpdate", "OnDelete"):
        shown = {"Type": strategy.get("type"), "RollingUpdate": strategy.get("rollingUpdate")}
        yield invalid_value("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'")
    service = str(spec.get("serviceName") or "")
    for text in namerules.label_faults(service) if service else ():
        yield invalid_value("spec.serviceName", service, text)
    yield from _workload(item)


def _pod(item: Object) -> Iterator[Cause]:
    yield from pod_spec_causes(item.get("spec") or {}, "spec")


def _claim(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    modes = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in spec.get("accessModes") or []:
        if mode not in modes:
            yield unsupported_value("spec.accessModes", mode, modes)
    size = dig(spec, "resources", "requests", "storage")
    if not size:
        yield required("spec.resources[storage]")
    elif quantity(size) <= 0:
        yield invalid_value("spec.resources[storage]", str(size), "must be greater than zero")


def _ingress(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    for at, rule in enumerate(spec.get("rules") or []):
        host = str(rule.get("host") or "")
        for text in namerules.subdomain_faults(host.removeprefix("*.")) if host else ():
            yield invalid_value(f"spec.rules[{at}].host", host, text)
        for index, path in enumerate(dig(rule, "http", "paths", default=[])):
            yield from _ingress_path(path, f"spec.rules[{at}].http.paths[{index}]")


def _ingress_path(path: Object, where: str) -> Iterator[Cause]:
    kind = path.get("pathType")
    if not kind:
        yield required(f"{where}.pathType", "pathType must be specified")
    elif not str(path.get("path") or "").startswith("/") and kind != "ImplementationSpecific":
        yield invalid_value(f"{where}.path", path.get("path") or "", "must be an absolute path")
    service = dig(path, "backend", "service", default={})
    if service and not service.get("port"):
        yield required(f"{where}.backend", "port name or number is required")


def _network_policy(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    for way, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(spec.get(way) or []):
            for index, port in enumerate(rule.get("ports") or []):
                if isinstance(port.get("port"), int):
                    yield from port_causes(port["port"], f"spec.{way}[{at}].ports[{index}].port")
            for index, peer in enumerate(rule.get(side) or []):
                if not peer:
                    yield required(f"spec.{way}[{at}].{side}[{index}]", "must specify a peer")
    for at, kind in enumerate(spec.get("policyTypes") or []):
        if kind not in ("Ingress", "Egress"):
            yield unsupported_value(f"spec.policyTypes[{at}]", kind, ("Ingress", "Egress"))


def _disruption_budget(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = {
            "MinAvailable": spec["minAvailable"],
            "Selector": spec.get("selector"),
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        yield invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        yield from _share(spec.get(name), f"spec.{name}")


def _quota(item: Object) -> Iterator[Cause]:
    for name, value in dig(item, "spec", "hard", default={}).items():
        try:
            if quantity(value) < 0:
                yield invalid_value(f"spec.hard[{name}]", str(value), "must be greater than or equal to 0")
        except ValueError:
            continue


_CHECKS: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "ConfigMap": _data,
    "Secret": _secret,
    "Service": _service,
    "Deployment": _deployment,
    "ReplicaSet": _workload,
    "StatefulSet": _stateful_set,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Ingress": _ingress,
    "NetworkPolicy": _network_policy,
    "PodDisruptionBudget": _disruption_budget,
    "ResourceQuota": _quota,
}
