"""Columns of the built-in kinds, as `kubectl get` and `kubectl get -o wide` print them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from sandbox.kinds import Kind
from sandbox.selectors import shown_selector
from sandbox.values import Object, dig, parse_time

Cell = Callable[[Object, datetime], Any]


class Column(NamedTuple):
    """One column; `wide` ones are shown by `-o wide` only."""

    name: str
    type: str
    cell: Cell
    wide: bool = False
    #: `name` marks the column that names the object.
    format: str = ""


def builtin_columns(kind: Kind) -> list[Column]:
    """Columns of a built-in kind; name and time of creation where nothing else is known of it."""
    columns = list(_BUILTIN.get(kind.kind, (_CREATED,)))
    return columns if kind.kind in ("Event", "StorageClass") else [NAME, *columns]


def age(text: str | None, now: datetime) -> str:
    """`12s`, `5m30s`, `3h`, `4d`, as kubectl prints durations."""
    if not text:
        return "<unknown>"
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
    if days < 730:
        return f"{days}d" if days >= 8 or not hours % 24 else f"{days}d{hours % 24}h"
    return f"{days // 365}y{days % 365}d" if days % 365 and days < 2920 else f"{days // 365}y"


def _created(item: Object, now: datetime) -> str:
    return age(item["metadata"].get("creationTimestamp"), now)


NAME = Column("Name", "string", lambda item, _: item["metadata"]["name"], format="name")
_AGE = Column("Age", "string", _created)
_CREATED = Column("Created At", "date", lambda item, _: item["metadata"].get("creationTimestamp"))


def _text(name: str, *path: str, empty: str = "<none>", wide: bool = False) -> Column:
    return Column(name, "string", lambda item, _: str(dig(item, *path, default=empty) or empty), wide)


def _count(name: str, *path: str) -> Column:
    return Column(name, "integer", lambda item, _: dig(item, *path, default=0))


def _size(name: str, *fields: str) -> Column:
    return Column(name, "string", lambda item, _: sum(len(item.get(field) or {}) for field in fields))


def _ready(item: Object, _: datetime) -> str:
    return f"{dig(item, 'status', 'readyReplicas', default=0)}/{dig(item, 'spec', 'replicas', default=1)}"


# -- pods ----------------------------------------------------------------------------------------------------------


def _statuses(pod: Object) -> list[Object]:
    return list(dig(pod, "status", "containerStatuses", default=[]))


def _pod_ready(pod: Object, _: datetime) -> str:
    ready = sum(bool(part.get("ready") and dig(part, "state", "running")) for part in _statuses(pod))
    return f"{ready}/{len(dig(pod, 'spec', 'containers', default=[]))}"


def _pod_status(pod: Object, _: datetime) -> str:
    phase = dig(pod, "status", "phase", default="")
    if pod["metadata"].get("deletionTimestamp") and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    reason = str(dig(pod, "status", "reason") or phase)
    for part in reversed(_statuses(pod)):
        waiting, ended = dig(part, "state", "waiting", "reason"), dig(part, "state", "terminated")
        if waiting:
            reason = str(waiting)
        elif ended is not None:
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}"
    return reason


def _restarts(pod: Object, now: datetime) -> str:
    count = sum(part.get("restartCount", 0) for part in _statuses(pod))
    ends = [dig(part, "lastState", "terminated", "finishedAt", default="") for part in _statuses(pod)]
    last = max(ends, default="")
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def _gates(pod: Object, _: datetime) -> str:
    gates = dig(pod, "spec", "readinessGates", default=[])
    holding = {one["type"] for one in dig(pod, "status", "conditions", default=[]) if one.get("status") == "True"}
    return f"{sum(gate['conditionType'] in holding for gate in gates)}/{len(gates)}" if gates else "<none>"


# -- others --------------------------------------------------------------------------------------------------------


def _external_address(item: Object, _: datetime) -> str:
    kind = dig(item, "spec", "type", default="ClusterIP")
    if kind == "ExternalName":
        return str(dig(item, "spec", "externalName", default=""))
    given = ",".join(dig(item, "spec", "externalIPs", default=[]))
    return given or ("<pending>" if kind == "LoadBalancer" else "<none>")


def _ports(item: Object, _: datetime) -> str:
    shown = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in dig(item, "spec", "ports", default=[])
    ]
    return ",".join(shown) or "<none>"


def _hosts(item: Object, _: datetime) -> str:
    rules = dig(item, "spec", "rules", default=[])
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    more = f" + {len(rules) - 3} more..." if len(rules) > 3 else ""
    return ",".join(hosts[:3]) + more if hosts else "*"


def _of_template(field: str) -> Cell:
    def cell(item: Object, _: datetime) -> str:
        containers = dig(item, "spec", "template", "spec", "containers", default=[])
        return ",".join(part.get(field, "") for part in containers)

    return cell


def _selector(*path: str) -> Cell:
    return lambda item, _: shown_selector(dig(item, *path, default={})) or "<none>"


def _plain_selector(item: Object, _: datetime) -> str:
    return shown_selector({"matchLabels": dig(item, "spec", "selector", default={})}) or "<none>"


def _modes(item: Object, _: datetime) -> str:
    if not dig(item, "spec", "volumeName"):
        return ""
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in dig(item, "status", "accessModes", default=[]))


def _capacity(item: Object, _: datetime) -> str:
    return str(dig(item, "status", "capacity", "storage", default="0")) if dig(item, "spec", "volumeName") else ""


def _claim_phase(item: Object, _: datetime) -> str:
    return "Terminating" if item["metadata"].get("deletionTimestamp") else str(dig(item, "status", "phase", default=""))


def _used_against_hard(*, limits: bool) -> Cell:
    def cell(item: Object, _: datetime) -> str:
        hard, used = dig(item, "status", "hard", default={}), dig(item, "status", "used", default={})
        names = sorted(name for name in hard if name.startswith("limits.") is limits)
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


def _class_name(item: Object, _: datetime) -> str:
    is_default = dig(item, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class") == "true"
    return str(item["metadata"]["name"]) + (" (default)" if is_default else "")


def _address(kind: str) -> Cell:
    def cell(item: Object, _: datetime) -> str:
        found = [one["address"] for one in dig(item, "status", "addresses", default=[]) if one["type"] == kind]
        return found[0] if found else "<none>"

    return cell


def _kernel(item: Object, _: datetime) -> str:
    version = dig(item, "status", "nodeInfo", "kernelVersion") or "<unknown>"
    architecture = dig(item, "status", "nodeInfo", "architecture")
    return f"{version} ({architecture})" if architecture else str(version)


def _definition_versions(item: Object, _: datetime) -> str:
    versions = dig(item, "spec", "versions", default=[])
    return ",".join(one["name"] + ("(storage)" if one.get("storage") else "") for one in versions)


def _established(item: Object, _: datetime) -> bool:
    conditions = dig(item, "status", "conditions", default=[])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _node_status(item: Object, _: datetime) -> str:
    ready = {one["type"]: one["status"] for one in dig(item, "status", "conditions", default=[])}.get("Ready")
    return "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"


# -- events --------------------------------------------------------------------------------------------------------


def _event_first(item: Object, now: datetime) -> str:
    return age(item.get("firstTimestamp") or item.get("eventTime"), now)


def _event_last(item: Object, now: datetime) -> str:
    repeated = dig(item, "series", "lastObservedTime") or item.get("lastTimestamp")
    return age(repeated, now) if repeated else _event_first(item, now)


def _event_object(item: Object, _: datetime) -> str:
    about = item.get("involvedObject") or item.get("regarding") or {}
    kind, name = str(about.get("kind", "")).lower(), about.get("name", "")
    return f"{kind}/{name}" if name else kind


def _event_source(item: Object, _: datetime) -> str:
    source = item.get("source") or {}
    component = source.get("component") or item.get("reportingComponent") or ""
    host = source.get("host") or item.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _event_count(item: Object, _: datetime) -> Any:
    return dig(item, "series", "count") or item.get("count") or 1


_CONTAINERS = (
    Column("Containers", "string", _of_template("name"), wide=True),
    Column("Images", "string", _of_template("image"), wide=True),
)
_SELECTOR = Column("Selector", "string", _selector("spec", "selector"), wide=True)
_BUILTIN: dict[str, tuple[Column, ...]] = {
    "Namespace": (_text("Status", "status", "phase"), _AGE),
    "Pod": (
        Column("Ready", "string", _pod_ready),
        Column("Status", "string", _pod_status),
        Column("Restarts", "string", _restarts),
        _AGE,
        _text("IP", "status", "podIP", wide=True),
        _text("Node", "spec", "nodeName", wide=True),
        _text("Nominated Node", "status", "nominatedNodeName", wide=True),
        Column("Readiness Gates", "string", _gates, wide=True),
    ),
    "Service": (
        _text("Type", "spec", "type"),
        _text("Cluster-IP", "spec", "clusterIP"),
        Column("External-IP", "string", _external_address),
        Column("Port(s)", "string", _ports),
        _AGE,
        Column("Selector", "string", _plain_selector, wide=True),
    ),
    "ConfigMap": (_size("Data", "data", "binaryData"), _AGE),
    "Secret": (_text("Type", "type"), _size("Data", "data"), _AGE),
    "ServiceAccount": (_AGE,),
    "PersistentVolumeClaim": (
        Column("Status", "string", _claim_phase),
        _text("Volume", "spec", "volumeName", empty=""),
        Column("Capacity", "string", _capacity),
        Column("Access Modes", "string", _modes),
        _text("StorageClass", "spec", "storageClassName", empty=""),
        _text("VolumeAttributesClass", "spec", "volumeAttributesClassName", empty="<unset>"),
        _AGE,
        _text("VolumeMode", "spec", "volumeMode", empty="<unset>", wide=True),
    ),
    "ResourceQuota": (
        Column("Request", "string", _used_against_hard(limits=False)),
        Column("Limit", "string", _used_against_hard(limits=True)),
        _AGE,
    ),
    "Event": (
        Column("Last Seen", "string", _event_last),
        _text("Type", "type", empty=""),
        _text("Reason", "reason", empty=""),
        Column("Object", "string", _event_object),
        _text("Subobject", "involvedObject", "fieldPath", empty="", wide=True),
        Column("Source", "string", _event_source, wide=True),
        Column("Message", "string", lambda item, _: str(item.get("message") or item.get("note") or "").strip()),
        Column("First Seen", "string", _event_first, wide=True),
        Column("Count", "string", _event_count, wide=True),
        Column("Name", "string", lambda item, _: item["metadata"]["name"], wide=True, format="name"),
    ),
    "Deployment": (
        Column("Ready", "string", _ready),
        Column("Up-to-date", "string", lambda item, _: dig(item, "status", "updatedReplicas", default=0)),
        Column("Available", "string", lambda item, _: dig(item, "status", "availableReplicas", default=0)),
        _AGE,
        *_CONTAINERS,
        _SELECTOR,
    ),
    "ReplicaSet": (
        _count("Desired", "spec", "replicas"),
        _count("Current", "status", "replicas"),
        _count("Ready", "status", "readyReplicas"),
        _AGE,
        *_CONTAINERS,
        _SELECTOR,
    ),
    "StatefulSet": (Column("Ready", "string", _ready), _AGE, *_CONTAINERS),
    "Ingress": (
        _text("Class", "spec", "ingressClassName"),
        Column("Hosts", "string", _hosts),
        Column("Address", "string", lambda *_: ""),
        Column("Ports", "string", lambda item, _: "80, 443" if dig(item, "spec", "tls") else "80"),
        _AGE,
    ),
    "NetworkPolicy": (Column("Pod-Selector", "string", _selector("spec", "podSelector")), _AGE),
    "PodDisruptionBudget": (
        _text("Min Available", "spec", "minAvailable", empty="N/A"),
        _text("Max Unavailable", "spec", "maxUnavailable", empty="N/A"),
        _count("Allowed Disruptions", "status", "disruptionsAllowed"),
        _AGE,
    ),
    "StorageClass": (
        Column("Name", "string", _class_name, format="name"),
        _text("Provisioner", "provisioner"),
        _text("ReclaimPolicy", "reclaimPolicy"),
        _text("VolumeBindingMode", "volumeBindingMode"),
        Column("AllowVolumeExpansion", "string", lambda item, _: bool(item.get("allowVolumeExpansion"))),
        _AGE,
    ),
    "Lease": (_text("Holder", "spec", "holderIdentity", empty=""), _AGE),
    "Node": (
        Column("Status", "string", _node_status),
        Column("Roles", "string", lambda *_: "<none>"),
        _AGE,
        _text("Version", "status", "nodeInfo", "kubeletVersion", empty=""),
        Column("Internal-IP", "string", _address("InternalIP"), wide=True),
        Column("External-IP", "string", _address("ExternalIP"), wide=True),
        _text("OS-Image", "status", "nodeInfo", "osImage", empty="<unknown>", wide=True),
        Column("Kernel-Version", "string", _kernel, wide=True),
        _text("Container-Runtime", "status", "nodeInfo", "containerRuntimeVersion", empty="<unknown>", wide=True),
    ),
    "CustomResourceDefinition": (
        _text("Scope", "spec", "scope"),
        Column("Versions", "string", _definition_versions),
        _CREATED,
        _text("Group", "spec", "group", wide=True),
        _text("Kind", "spec", "names", "kind", wide=True),
        Column(
            "ShortNames", "string", lambda item, _: ",".join(dig(item, "spec", "names", "shortNames", default=[])), True
        ),
        Column("Established", "boolean", _established, wide=True),
    ),
}
