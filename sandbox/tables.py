"""What `kubectl get` prints: the server makes the table."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox import jsonpath
from sandbox.kinds import Kind, Version
from sandbox.values import Object, dig, parse_time

Column = tuple[str, str, int, Callable[[Object, datetime], Any]]


def table(kind: Kind, version: Version, items: list[Object], now: datetime, include: str, meta: Object) -> Object:
    """A `meta.k8s.io/v1` Table; `include` is `Object`, `Metadata` or `None`."""
    columns = columns_of(kind, version)
    rows = []
    for item in items:
        row: Object = {"cells": [cell(item, now) for _, _, _, cell in columns]}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = partial(item)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [
            {
                "name": name,
                "type": "date" if kind_of == "date" and kind.custom else ("string" if kind_of == "date" else kind_of),
                "format": "name" if at == 0 else "",
                "description": "",
                "priority": priority,
            }
            for at, (name, kind_of, priority, _) in enumerate(columns)
        ],
        "rows": rows,
    }


def partial(item: Object) -> Object:
    """The object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def columns_of(kind: Kind, version: Version) -> list[Column]:
    """Columns of a kind: those of the definition, those kubectl users know, or name and age."""
    name: Column = ("Name", "string", 0, lambda item, _: item["metadata"]["name"])
    if kind.custom:
        declared = [_declared(column) for column in version.columns]
        return [name, *(declared or [("Age", "date", 0, _created)])]
    return [name, *_BUILTIN.get(kind.kind, ()), *_WIDE.get(kind.kind, ())] if kind.kind in _BUILTIN else [name, _AGE]


def _declared(column: Object) -> Column:
    path, kind = column["jsonPath"], column["type"]

    def cell(item: Object, now: datetime) -> Any:
        value = jsonpath.first(item, path)
        if value is None:
            return None
        if kind == "date":
            return age(str(value), now)
        return value if kind in ("integer", "number", "boolean") else str(value)

    return column["name"], kind, column.get("priority", 0), cell


def age(text: str, now: datetime) -> str:
    """`12s`, `5m30s`, `3h`, `4d`, as kubectl prints durations."""
    try:
        seconds = int((now - parse_time(text)).total_seconds())
    except ValueError:
        return "<unknown>"
    if seconds < 0:
        return "0s" if seconds > -2 else "<invalid>"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{days}d" if days >= 8 or not hours % 24 else f"{days}d{hours % 24}h"


def _created(item: Object, now: datetime) -> str:
    return age(item["metadata"]["creationTimestamp"], now)


_AGE: Column = ("Age", "date", 0, _created)


def _text(name: str, *path: str, empty: str = "<none>", priority: int = 0) -> Column:
    return name, "string", priority, lambda item, _: str(dig(item, *path, default=empty) or empty)


def _count(name: str, *path: str) -> Column:
    return name, "integer", 0, lambda item, _: dig(item, *path, default=0)


def _ready(item: Object, _: datetime) -> str:
    return f"{dig(item, 'status', 'readyReplicas', default=0)}/{dig(item, 'spec', 'replicas', default=1)}"


def _pod_ready(item: Object, _: datetime) -> str:
    statuses = dig(item, "status", "containerStatuses", default=[])
    return f"{sum(bool(part.get('ready')) for part in statuses)}/{len(dig(item, 'spec', 'containers', default=[]))}"


def _pod_status(item: Object, _: datetime) -> str:
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for part in dig(item, "status", "containerStatuses", default=[]):
        reason = dig(part, "state", "waiting", "reason")
        if reason:
            return str(reason)
    return str(dig(item, "status", "reason") or dig(item, "status", "phase", default="Unknown"))


def _restarts(item: Object, _: datetime) -> str:
    return str(sum(part.get("restartCount", 0) for part in dig(item, "status", "containerStatuses", default=[])))


def _ports(item: Object, _: datetime) -> str:
    ports = dig(item, "spec", "ports", default=[])
    shown = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in ports
    ]
    return ",".join(shown) or "<none>"


def _template_images(item: Object, _: datetime) -> str:
    return ",".join(part.get("image", "") for part in dig(item, "spec", "template", "spec", "containers", default=[]))


def _template_names(item: Object, _: datetime) -> str:
    return ",".join(part.get("name", "") for part in dig(item, "spec", "template", "spec", "containers", default=[]))


def _selector(item: Object, _: datetime) -> str:
    labels = dig(item, "spec", "selector", "matchLabels", default={})
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _event_object(item: Object, _: datetime) -> str:
    about = item.get("involvedObject") or item.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_seen(item: Object, now: datetime) -> str:
    last = item.get("lastTimestamp") or dig(item, "series", "lastObservedTime") or item.get("eventTime")
    return age(str(last or item["metadata"]["creationTimestamp"]), now)


def _used_against_hard(prefixes: tuple[str, ...], wanted: bool) -> Callable[[Object, datetime], str]:
    def cell(item: Object, _: datetime) -> str:
        hard, used = dig(item, "spec", "hard", default={}), dig(item, "status", "used", default={})
        names = sorted(name for name in hard if name.startswith(prefixes) is wanted)
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


def _default_class(item: Object, _: datetime) -> str:
    return str(item.get("provisioner", ""))


_BUILTIN: dict[str, tuple[Column, ...]] = {
    "Namespace": (_text("Status", "status", "phase"), _AGE),
    "Pod": (
        ("Ready", "string", 0, _pod_ready),
        ("Status", "string", 0, _pod_status),
        ("Restarts", "string", 0, _restarts),
        _AGE,
    ),
    "Service": (
        _text("Type", "spec", "type"),
        _text("Cluster-IP", "spec", "clusterIP"),
        ("External-IP", "string", 0, lambda *_: "<none>"),
        ("Port(s)", "string", 0, _ports),
        _AGE,
    ),
    "ConfigMap": (("Data", "string", 0, lambda item, _: str(len(item.get("data") or {}))), _AGE),
    "Secret": (_text("Type", "type"), ("Data", "string", 0, lambda item, _: str(len(item.get("data") or {}))), _AGE),
    "ServiceAccount": (("Secrets", "integer", 0, lambda item, _: len(item.get("secrets") or [])), _AGE),
    "PersistentVolumeClaim": (
        _text("Status", "status", "phase"),
        _text("Volume", "spec", "volumeName", empty=""),
        _text("Capacity", "status", "capacity", "storage", empty=""),
        (
            "Access Modes",
            "string",
            0,
            lambda item, _: ",".join(
                {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX"}.get(mode, mode)
                for mode in dig(item, "spec", "accessModes", default=[])
            ),
        ),
        _text("StorageClass", "spec", "storageClassName", empty=""),
        _AGE,
    ),
    "ResourceQuota": (
        ("Request", "string", 0, _used_against_hard(("limits.",), wanted=False)),
        ("Limit", "string", 0, _used_against_hard(("limits.",), wanted=True)),
        _AGE,
    ),
    "Event": (
        ("Last Seen", "string", 0, _event_seen),
        _text("Type", "type"),
        _text("Reason", "reason"),
        ("Object", "string", 0, _event_object),
        ("Message", "string", 0, lambda item, _: str(item.get("message") or item.get("note") or "").strip()),
    ),
    "Deployment": (
        ("Ready", "string", 0, _ready),
        _count("Up-to-date", "status", "updatedReplicas"),
        _count("Available", "status", "availableReplicas"),
        _AGE,
    ),
    "ReplicaSet": (
        _count("Desired", "spec", "replicas"),
        _count("Current", "status", "replicas"),
        _count("Ready", "status", "readyReplicas"),
        _AGE,
    ),
    "StatefulSet": (("Ready", "string", 0, _ready), _AGE),
    "Ingress": (
        _text("Class", "spec", "ingressClassName"),
        (
            "Hosts",
            "string",
            0,
            lambda item, _: ",".join(rule.get("host", "*") for rule in dig(item, "spec", "rules", default=[])) or "*",
        ),
        ("Address", "string", 0, lambda *_: ""),
        ("Ports", "string", 0, lambda item, _: "80, 443" if dig(item, "spec", "tls") else "80"),
        _AGE,
    ),
    "NetworkPolicy": (
        (
            "Pod-Selector",
            "string",
            0,
            lambda item, _: (
                ",".join(
                    f"{key}={value}"
                    for key, value in sorted(dig(item, "spec", "podSelector", "matchLabels", default={}).items())
                )
                or "<none>"
            ),
        ),
        _AGE,
    ),
    "PodDisruptionBudget": (
        _text("Min Available", "spec", "minAvailable", empty="N/A"),
        _text("Max Unavailable", "spec", "maxUnavailable", empty="N/A"),
        _count("Allowed Disruptions", "status", "disruptionsAllowed"),
        _AGE,
    ),
    "StorageClass": (
        ("Provisioner", "string", 0, _default_class),
        _text("ReclaimPolicy", "reclaimPolicy"),
        _text("VolumeBindingMode", "volumeBindingMode"),
        ("AllowVolumeExpansion", "string", 0, lambda item, _: str(bool(item.get("allowVolumeExpansion"))).lower()),
        _AGE,
    ),
    "Lease": (_text("Holder", "spec", "holderIdentity", empty=""), _AGE),
    "Node": (
        ("Status", "string", 0, lambda *_: "Ready"),
        ("Roles", "string", 0, lambda *_: "<none>"),
        _AGE,
        _text("Version", "status", "nodeInfo", "kubeletVersion", empty=""),
    ),
    "CustomResourceDefinition": (("Created At", "date", 0, lambda item, _: item["metadata"]["creationTimestamp"]),),
}
_WIDE: dict[str, tuple[Column, ...]] = {
    "Pod": (_text("IP", "status", "podIP", priority=1), _text("Node", "spec", "nodeName", priority=1)),
    "Deployment": (
        ("Containers", "string", 1, _template_names),
        ("Images", "string", 1, _template_images),
        ("Selector", "string", 1, _selector),
    ),
    "StatefulSet": (("Containers", "string", 1, _template_names), ("Images", "string", 1, _template_images)),
}
