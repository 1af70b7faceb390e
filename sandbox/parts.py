"""Which parts of an object a request may write, and where objects are kept."""

from sandbox import eventkinds
from sandbox.kinds import NAMESPACE_KEY, GroupKind, Kind
from sandbox.selectors import Predicate, everything, field_selector, label_selector
from sandbox.values import Object, dig


def storage_key(kind: Kind) -> GroupKind:
    """Where the objects of a kind are kept."""
    return eventkinds.CORE_EVENTS if kind.key == eventkinds.NEW_EVENTS else kind.key


def is_finished(kind: Kind, item: Object) -> bool:
    """Whether nothing holds an object that is being deleted: no finalizer, no grace, no content."""
    meta = item["metadata"]
    if meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (kind.key == NAMESPACE_KEY and dig(item, "spec", "finalizers"))


def core_fields(kind: Kind, fields: str) -> str:
    """Events are stored in the words of the core kind."""
    return fields.replace("regarding.", "involvedObject.") if kind.key == eventkinds.NEW_EVENTS else fields


def selected(kind: Kind, labels: str, fields: str) -> Predicate:
    """Which objects of a kind the selectors of a request ask for.

    Raises:
        StatusError: 400, they do not parse or name a field that cannot be selected by.
    """
    known = ("metadata.name", "metadata.namespace", *kind.selectable)
    by_label = label_selector(labels)
    by_field = field_selector(core_fields(kind, fields), known.__contains__, kind.unselectable)
    if by_label is everything:
        return by_field
    return lambda item: by_label(item) and by_field(item)


def applied_part(kind: Kind, config: Object, subresource: str) -> Object:
    """What of an apply counts: all but the status, or the status alone."""
    if subresource == "status":
        return {key: value for key, value in config.items() if key in ("apiVersion", "kind", "metadata", "status")} | {
            "metadata": {
                key: value
                for key, value in config["metadata"].items()
                if key in ("name", "namespace", "uid", "resourceVersion")
            }
        }
    if kind.has_status:
        return {key: value for key, value in config.items() if key != "status"}
    return config


def carried_over(kind: Kind, before: Object, item: Object, subresource: str) -> Object:
    """The parts a request may write, on top of what is stored."""
    if subresource == "status":
        kept = {**before, "metadata": {**before["metadata"]}}
        kept.pop("status", None)
        return {**kept, "status": item["status"]} if "status" in item else kept
    if kind.has_status:
        kept = {key: value for key, value in item.items() if key != "status"}
        return {**kept, "status": before["status"]} if "status" in before else kept
    return dict(item)
