"""What must not change on an object of a built-in kind."""

import difflib
import json
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.errors import Cause, forbidden_field, invalid_value
from sandbox.values import Object, dig, equal, quantity

_IMMUTABLE = "field is immutable"


def change_causes(kind: str, before: Object, after: Object) -> Iterator[Cause]:
    """What must not change and did."""
    function = _CHANGES.get(kind)
    if function:
        yield from function(before, after)


def _immutable(*names: str) -> Callable[[Object, Object], Iterator[Cause]]:
    def check(before: Object, after: Object) -> Iterator[Cause]:
        for name in names:
            if not equal(dig(before, "spec", name), dig(after, "spec", name)):
                yield invalid_value(f"spec.{name}", dig(after, "spec", name), _IMMUTABLE)

    return check


def _claim_change(before: Object, after: Object) -> Iterator[Cause]:
    """A claim that is bound may ask for more; one that is not may not change at all."""
    bound = dig(before, "status", "phase") == "Bound"

    def rest(item: Object) -> Object:
        spec = {key: value for key, value in item["spec"].items() if key != "volumeName"}
        if bound:
            spec.pop("volumeAttributesClassName", None)
            spec["resources"] = {key: value for key, value in spec.get("resources", {}).items() if key != "requests"}
        return spec

    old, new = rest(before), rest(after)
    if not equal(old, new):
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden_field("spec", f"{text}\n{_difference(old, new)}")
    path = ("spec", "resources", "requests", "storage")
    asked, had = quantity(dig(after, *path, default=0)), quantity(dig(before, *path, default=0))
    if asked < had and asked <= quantity(dig(before, "status", "capacity", "storage", default=0)):
        yield forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")


def _difference(old: Object, new: Object) -> str:
    """The two as JSON, line by line; a server prints its internal fields, which are named a little otherwise."""
    left, right = (json.dumps(side, indent=1, sort_keys=True).split("\n") for side in (old, new))
    return "\n".join(list(difflib.unified_diff(left, right, lineterm="", n=3))[2:]) + "\n"


def _service_change(before: Object, after: Object) -> Iterator[Cause]:
    old, new = dig(before, "spec", "clusterIP"), dig(after, "spec", "clusterIP")
    if old and old != "None" and new != old and dig(after, "spec", "type") != "ExternalName":
        yield invalid_value("spec.clusterIPs[0]", [new], "may not change once set")


def _data_change(before: Object, after: Object) -> Iterator[Cause]:
    if before.get("type") != after.get("type"):
        yield invalid_value("type", after.get("type"), _IMMUTABLE)
    if not before.get("immutable"):
        return
    for field in ("immutable", "data", "binaryData"):
        if not equal(before.get(field), after.get(field)):
            yield forbidden_field(field, "field is immutable when `immutable` is set")


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


_CHANGES: dict[str, Callable[[Object, Object], Iterator[Cause]]] = {
    "Deployment": _immutable("selector"),
    "ReplicaSet": _immutable("selector"),
    "StatefulSet": _immutable("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"),
    "PersistentVolumeClaim": _claim_change,
    "Service": _service_change,
    "ConfigMap": _data_change,
    "Secret": _data_change,
    "Pod": _pod_change,
}
