"""Events are stored once and served in two groups: `v1` and `events.k8s.io/v1` say the same in other words."""

import re
from collections.abc import Iterator

from sandbox import namerules
from sandbox.errors import Cause, invalid_value, required
from sandbox.kinds import GroupKind
from sandbox.values import Object, dig, equal

CORE_EVENTS = GroupKind("", "events")
NEW_EVENTS = GroupKind("events.k8s.io", "events")
NEW_VERSION = "events.k8s.io/v1"

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


_TEXT_MAX, _NOTE_MAX = 128, 1024
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_FROZEN = (
    "involvedObject",
    "reason",
    "message",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)


def time_fault(item: Object) -> str | None:
    """Why an eventTime cannot be read: it has exactly six digits after the second."""
    text = item.get("eventTime")
    if not isinstance(text, str) or _MICRO_TIME.fullmatch(text):
        return None
    seconds = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text)
    rest, wanted = (text[seconds.end() :], ".000000") if seconds else (text, "2006")
    return f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as "{wanted}"'


def causes(item: Object, namespace: str) -> Iterator[Cause]:
    """What is wrong with a new `events.k8s.io/v1` Event; its fields are named in the words of the core kind."""
    if not item.get("eventTime"):
        yield required("eventTime")
    controller = str(item.get("reportingController") or "")
    if not controller:
        yield required("reportingController")
    for text in namerules.qualified_faults(controller):
        yield invalid_value("reportingController", controller, text)
    for field in ("reportingInstance", "action", "reason"):
        value = str(item.get(field) or "")
        if not value:
            yield required(field)
        if len(value) > _TEXT_MAX:
            yield invalid_value(field, "", f"can have at most {_TEXT_MAX} characters")
    if len(str(item.get("note") or "")) > _NOTE_MAX:
        yield invalid_value("message", "", f"can have at most {_NOTE_MAX} characters")
    if item.get("type") not in ("Normal", "Warning"):
        yield invalid_value("type", "", f"has invalid value: {item.get('type') or ''}")
    # What has no namespace is told of in these.
    if not dig(item, "regarding", "namespace") and namespace not in ("default", "kube-system"):
        yield invalid_value("involvedObject.namespace", "", "does not match event.namespace")


def change_causes(before: Object, after: Object) -> Iterator[Cause]:
    """What must not change on an Event through `events.k8s.io/v1`: all but its series."""
    for field in _FROZEN:
        if not equal(before.get(field), after.get(field)):
            yield invalid_value(field, after.get(field), "field is immutable")
