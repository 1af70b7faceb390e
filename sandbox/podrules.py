"""What a server refuses about pods and templates of pods."""

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox import namerules
from sandbox.errors import Cause, duplicate_value, forbidden_field, invalid_value, required, unsupported_value
from sandbox.values import Object, quantity

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_TIMES = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def pod_spec_causes(spec: Object, path: str, claims: Iterable[str] = ()) -> Iterator[Cause]:
    """What is wrong with the spec of a pod; `claims`: names of volumes that a StatefulSet adds to it."""
    yield from _volumes(spec.get("volumes") or [], f"{path}.volumes")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes = {*claims, *(volume.get("name") for volume in spec.get("volumes") or [])}
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(group) or []):
            inner = f"{path}.{group}[{at}]"
            yield from _container(container, inner)
            if container.get("name") in seen:
                yield duplicate_value(f"{inner}.name", container["name"])
            seen.add(container.get("name", ""))
            yield from _mounts(container.get("volumeMounts") or [], volumes, f"{inner}.volumeMounts")


def port_causes(value: Any, path: str) -> Iterator[Cause]:
    """What is wrong with the number of a port."""
    if not isinstance(value, int) or not 0 < value < 65536:
        yield invalid_value(path, value, "must be between 1 and 65535, inclusive")


def _volumes(volumes: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, volume in enumerate(volumes):
        sources = [key for key in volume if key != "name" and volume[key] is not None]
        for source in sources[1:]:
            yield forbidden_field(f"{path}[{at}].{source}", "may not specify more than 1 volume type")
        name = str(volume.get("name", ""))
        for text in namerules.plain_label_faults(name):
            yield invalid_value(f"{path}[{at}].name", name, text)
        if name in seen:
            yield duplicate_value(f"{path}[{at}].name", name)
        seen.add(name)


def _mounts(mounts: list[Object], volumes: set[Any], path: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for at, mount in enumerate(mounts):
        if mount.get("name") not in volumes:
            yield "FieldValueNotFound", f'Not found: "{mount.get("name")}"', f"{path}[{at}].name"
        where = str(mount.get("mountPath", ""))
        if where in taken:
            yield invalid_value(f"{path}[{at}].mountPath", where, "must be unique")
        taken.add(where)


def _container(container: Object, path: str) -> Iterator[Cause]:
    name = str(container.get("name", ""))
    if not name:
        yield required(f"{path}.name")
    else:
        for text in namerules.plain_label_faults(name):
            yield invalid_value(f"{path}.name", name, text)
    if not container.get("image"):
        yield required(f"{path}.image")
    policy = container.get("imagePullPolicy")
    if policy not in _PULL_POLICIES:
        yield unsupported_value(f"{path}.imagePullPolicy", policy, _PULL_POLICIES)
    yield from _ports(container.get("ports") or [], f"{path}.ports")
    yield from _environment(container.get("env") or [], f"{path}.env")
    for probe in _PROBES:
        if isinstance(container.get(probe), dict):
            yield from _probe(container[probe], f"{path}.{probe}", once=probe != "readinessProbe")
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _ports(ports: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, port in enumerate(ports):
        name = str(port.get("name") or "")
        if name:
            for text in namerules.port_name_faults(name):
                yield invalid_value(f"{path}[{at}].name", name, text)
            if name in seen:
                yield duplicate_value(f"{path}[{at}].name", name)
            seen.add(name)
        yield from port_causes(port.get("containerPort"), f"{path}[{at}].containerPort")


def _environment(entries: list[Object], path: str) -> Iterator[Cause]:
    for at, entry in enumerate(entries):
        name = str(entry.get("name", ""))
        if not name:
            yield required(f"{path}[{at}].name")
        else:
            for text in namerules.env_name_faults(name):
                yield invalid_value(f"{path}[{at}].name", name, text)
        if entry.get("value") and entry.get("valueFrom"):
            yield invalid_value(f"{path}[{at}].valueFrom", "", "may not be specified when `value` is not empty")


def _probe(probe: Object, path: str, *, once: bool) -> Iterator[Cause]:
    handlers = [name for name in _HANDLERS if probe.get(name)]
    if not handlers:
        yield required(path, "must specify a handler type")
    for name in handlers[1:]:
        yield forbidden_field(f"{path}.{name}", "may not specify more than 1 handler type")
    for name in _TIMES:
        if (probe.get(name) or 0) < 0:
            yield invalid_value(f"{path}.{name}", probe[name], "must be greater than or equal to 0")
    if once and probe.get("successThreshold") != 1:
        yield invalid_value(f"{path}.successThreshold", probe.get("successThreshold"), "must be 1")


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    limits = resources.get("limits") or {}
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            where = f"{path}.{part}[{name}]"
            if name not in _RESOURCES and "/" not in name and not name.startswith("hugepages-"):
                yield invalid_value(where, name, "must be a standard resource type or fully qualified")
                yield invalid_value(where, name, "must be a standard resource for containers")
            try:
                if quantity(value) < 0:
                    yield invalid_value(where, str(value), "must be greater than or equal to 0")
                limit = limits.get(name) if part == "requests" else None
                if limit is not None and quantity(value) > quantity(limit):
                    text = f"must be less than or equal to {name} limit of {limit}"
                    yield invalid_value(f"{path}.requests", str(value), text)
            except ValueError:
                continue
