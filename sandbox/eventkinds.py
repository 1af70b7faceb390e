"""Events are stored once and served in two groups: `v1` and `events.k8s.io/v1` say the same in other words."""

from sandbox.kinds import GroupKind
from sandbox.values import Object

CORE_EVENTS = GroupKind("", "events")
NEW_EVENTS = GroupKind("events.k8s.io", "events")

#: Field of the core kind -> field of the newer kind.
_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}


def to_core(item: Object) -> Object:
    """An `events.k8s.io/v1` Event as it is stored."""
    back = {new: old for old, new in _NAMES.items()}
    stored = {back.get(key, key): value for key, value in item.items()}
    if stored.get("reportingController"):
        stored["reportingComponent"] = stored.pop("reportingController")
    stored["apiVersion"] = "v1"
    stored.setdefault("source", {})
    for field in ("firstTimestamp", "lastTimestamp"):
        stored.setdefault(field, None)
    return stored


def from_core(item: Object) -> Object:
    """A stored Event as `events.k8s.io/v1` shows it."""
    shown = {_NAMES.get(key, key): value for key, value in item.items() if value is not None}
    shown["apiVersion"] = "events.k8s.io/v1"
    return shown
