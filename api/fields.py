"""Compares a spec with its schema: fields that no schema knows, nulls that mean absence."""

import difflib
from typing import Any

import msgspec

from api.redaction import path_text

Schema = dict[str, Any]
#: Fields that other operators offer and this one does not, for what they can do to a node or a cluster.
_REFUSED = frozenset(
    {"securityContext", "podSecurityContext", "hostPath", "volumes", "volumeMounts", "initContainers", "containers"}
)
_REFUSED |= {"command", "args", "hostNetwork", "hostPID", "namespace", "serviceAccountName", "externalIPs"}


class UnknownField(msgspec.Struct, frozen=True):
    """A field the schema does not know."""

    path: str
    #: A known field of the same object with a similar name; "" if there is none.
    suggestion: str = ""


def unknown_fields(value: Any, schema: Schema, path: tuple[str | int, ...] = ()) -> list[UnknownField]:
    """Fields of `value` that the API server would prune under `schema`, in document order."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [
            field
            for index, entry in enumerate(value)
            for field in unknown_fields(entry, schema["items"], (*path, index))
        ]
    if not isinstance(value, dict):
        return []
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    found: list[UnknownField] = []
    for key, entry in value.items():
        if key in known:
            found += unknown_fields(entry, known[key], (*path, key))
        elif isinstance(others, dict):
            found += unknown_fields(entry, others, (*path, key))
        elif known and not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.append(UnknownField(path_text((*path, key)), _suggestion(key, known, path)))
    return found


def without_nulls(value: Any, schema: Schema) -> Any:
    """The value without nulls where the schema has fields of its own; free-form parts are left as they are."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [without_nulls(entry, schema["items"]) for entry in value]
    if not isinstance(value, dict):
        return value
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    result = {}
    for key, entry in value.items():
        below = known.get(key, others if isinstance(others, dict) else None)
        if entry is None and below is not None:
            continue
        result[key] = entry if below is None else without_nulls(entry, below)
    return result


def _suggestion(key: str, known: Schema, path: tuple[str | int, ...]) -> str:
    if key in _REFUSED:
        return ""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower()[:100], folded, n=1, cutoff=0.7)
    return path_text((*path, folded[close[0]])) if close else ""
