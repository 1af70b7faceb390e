"""What a server refuses about metadata and built-in kinds."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.errors import Cause, forbidden_field, invalid_value, required
from sandbox.selectors import matches_labels
from sandbox.values import Object, dig, equal, quantity

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ANNOTATIONS_MAX = 256 * 1024
_DATA_MAX = 1024 * 1024
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_SERVICE_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def metadata_causes(kind: str, meta: Object) -> Iterator[Cause]:
    """What is wrong with `.metadata`."""
    name = meta.get("name", "")
    if kind in ("Service", "Namespace"):
        pattern, text = (_SERVICE, _SERVICE_TEXT) if kind == "Service" else (_LABEL, "a lowercase RFC 1123 label")
        if len(name) > 63:
            yield invalid_value("metadata.name", name, "must be no more than 63 characters")
    else:
        pattern, text = _SUBDOMAIN, _SUBDOMAIN_TEXT
        if len(name) > 253:
            yield invalid_value("metadata.name", name, "must be no more than 253 characters")
    if not pattern.fullmatch(name):
        yield invalid_value("metadata.name", name, text)
    yield from label_causes(meta.get("labels") or {}, "metadata.labels")
    annotations = meta.get("annotations") or {}
    if sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items()) > _ANNOTATIONS_MAX:
        yield "FieldValueTooLong", "Too long: may not be more than 262144 bytes", "metadata.annotations"
    for key in annotations:
        yield from _qualified_causes(key, "metadata.annotations", lower=True)
    for at, owner in enumerate(meta.get("ownerReferences") or []):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield invalid_value(f"metadata.ownerReferences[{at}].{field}", "", "must not be empty")


def label_causes(labels: Object, path: str) -> Iterator[Cause]:
    """What is wrong with a map of labels."""
    for key, value in labels.items():
        yield from _qualified_causes(key, path)
        if len(str(value)) > 63:
            yield invalid_value(path, value, "must be no more than 63 characters")
        elif not _LABEL_VALUE.fullmatch(str(value)):
            yield invalid_value(path, value, _LABEL_VALUE_TEXT)


def _qualified_causes(key: str, path: str, *, lower: bool = False) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.fullmatch(prefix.lower() if lower else prefix):
        yield invalid_value(path, key, "prefix part " + _SUBDOMAIN_TEXT)
    if not _QUALIFIED.fullmatch(name) or len(name) > 63:
        yield invalid_value(
            path, key, "name part must consist of alphanumeric characters, '-', '_' or '.', at most 63 of them"
        )


def builtin_causes(kind: str, item: Object) -> Iterator[Cause]:
    """What is wrong with the rest of a built-in object."""
    function = _CHECKS.get(kind)
    if function:
        yield from function(item)


def change_causes(kind: str, before: Object, after: Object) -> Iterator[Cause]:
    """What must not change and did."""
    function = _CHANGES.get(kind)
    if function:
        yield from function(before, after)


# -- single objects ------------------------------------------------------------------------------------------------


def _data(item: Object) -> Iterator[Cause]:
    total = 0
    for field in ("data", "binaryData"):
        for key, value in (item.get(field) or {}).items():
            total += len(str(value).encode())
            if not _DATA_KEY.fullmatch(key):
                yield invalid_value(
                    f"{field}[{key}]", key, "a valid config key must consist of alphanumeric characters"
                )
    if total > _DATA_MAX:
        yield "FieldValueTooLong", "Too long: may not be more than 1048576 bytes", ""


def _service(item: Object) -> Iterator[Cause]:
    ports = dig(item, "spec", "ports", default=[])
    if not ports and dig(item, "spec", "clusterIP") != "None" and dig(item, "spec", "type") != "ExternalName":
        yield required("spec.ports")
    for at, port in enumerate(ports):
        yield from _port(port.get("port"), f"spec.ports[{at}].port")
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{at}].name")


def _port(value: Any, path: str) -> Iterator[Cause]:
    if not isinstance(value, int) or not 0 < value < 65536:
        yield invalid_value(path, value, "must be between 1 and 65535, inclusive")


def _workload(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if (spec.get("replicas") or 0) < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector, labels = spec.get("selector"), dig(spec, "template", "metadata", "labels", default={})
    if not selector:
        yield required("spec.selector")
    elif not matches_labels(selector, labels):
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from label_causes(labels, "spec.template.metadata.labels")
    yield from pod_spec_causes(dig(spec, "template", "spec", default={}), "spec.template.spec")


def _pod(item: Object) -> Iterator[Cause]:
    yield from pod_spec_causes(item.get("spec") or {}, "spec")


def pod_spec_causes(spec: Object, path: str) -> Iterator[Cause]:
    """What is wrong with the spec of a pod."""
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(group) or []):
            inner = f"{path}.{group}[{at}]"
            yield from _container(container, inner)
            if container.get("name") in seen:
                yield "FieldValueDuplicate", f'Duplicate value: "{container["name"]}"', f"{inner}.name"
            seen.add(container.get("name", ""))
            for index, mount in enumerate(container.get("volumeMounts") or []):
                if mount.get("name") not in volumes and path != "spec.template.spec":
                    yield (
                        "FieldValueNotFound",
                        f'Not found: "{mount.get("name")}"',
                        f"{inner}.volumeMounts[{index}].name",
                    )


def _container(container: Object, path: str) -> Iterator[Cause]:
    if not _LABEL.fullmatch(str(container.get("name", ""))):
        yield invalid_value(f"{path}.name", container.get("name", ""), "a lowercase RFC 1123 label")
    if not container.get("image"):
        yield required(f"{path}.image")
    for at, port in enumerate(container.get("ports") or []):
        yield from _port(port.get("containerPort"), f"{path}.ports[{at}].containerPort")
    for at, entry in enumerate(container.get("env") or []):
        if not _ENV.fullmatch(str(entry.get("name", ""))):
            yield invalid_value(f"{path}.env[{at}].name", entry.get("name", ""), "a valid environment variable name")
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in requests.items():
        limit = limits.get(name)
        try:
            if limit is not None and quantity(value) > quantity(limit):
                text = f"must be less than or equal to {name} limit of {limit}"
                yield invalid_value(f"{path}.requests", str(value), text)
        except ValueError:
            continue


def _claim(item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    if not dig(spec, "resources", "requests", "storage"):
        yield required("spec.resources[storage]")


# -- changes -------------------------------------------------------------------------------------------------------


def _deployment_change(before: Object, after: Object) -> Iterator[Cause]:
    selector = dig(after, "spec", "selector")
    if not equal(dig(before, "spec", "selector"), selector):
        yield invalid_value("spec.selector", selector, "field is immutable")


_STATEFUL_SET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _stateful_set_change(before: Object, after: Object) -> Iterator[Cause]:
    old, new = ({k: v for k, v in item["spec"].items() if k not in _STATEFUL_SET_MUTABLE} for item in (before, after))
    if not equal(old, new):
        named = ", ".join(f"'{field}'" for field in _STATEFUL_SET_MUTABLE[:-1])
        text = f"updates to statefulset spec for fields other than {named} and 'minReadySeconds' are forbidden"
        yield forbidden_field("spec", text)


def _claim_change(before: Object, after: Object) -> Iterator[Cause]:
    def rest(item: Object) -> Object:
        mutable = ("resources", "volumeName", "volumeAttributesClassName")
        return {key: value for key, value in item["spec"].items() if key not in mutable}

    if not equal(rest(before), rest(after)):
        yield forbidden_field(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )
    path = ("spec", "resources", "requests", "storage")
    if quantity(dig(after, *path, default=0)) < quantity(dig(before, *path, default=0)):
        yield forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")


def _service_change(before: Object, after: Object) -> Iterator[Cause]:
    old, new = dig(before, "spec", "clusterIP"), dig(after, "spec", "clusterIP")
    if old and new != old and dig(after, "spec", "type") != "ExternalName":
        yield invalid_value("spec.clusterIPs[0]", [new], "may not change once set")


def _data_change(before: Object, after: Object) -> Iterator[Cause]:
    if before.get("immutable") and not equal(before.get("data"), after.get("data")):
        yield forbidden_field("data", "field is immutable when `immutable` is set")
    if before.get("type") != after.get("type"):
        yield invalid_value("type", after.get("type"), "field is immutable")


def _pod_change(before: Object, after: Object) -> Iterator[Cause]:
    def rest(item: Object) -> Any:
        spec = {k: v for k, v in item["spec"].items() if k not in ("activeDeadlineSeconds", "tolerations", "nodeName")}
        spec["containers"] = [{**container, "image": ""} for container in spec.get("containers", [])]
        return spec

    if not equal(rest(before), rest(after)):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


_CHECKS: dict[str, Callable[[Object], Iterator[Cause]]] = {
    "ConfigMap": _data,
    "Secret": _data,
    "Service": _service,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
}
_CHANGES: dict[str, Callable[[Object, Object], Iterator[Cause]]] = {
    "Deployment": _deployment_change,
    "ReplicaSet": _deployment_change,
    "StatefulSet": _stateful_set_change,
    "PersistentVolumeClaim": _claim_change,
    "Service": _service_change,
    "ConfigMap": _data_change,
    "Secret": _data_change,
    "Pod": _pod_change,
}
