"""Who owns which fields of an object, read from its managedFields. Pure.

The API server keeps, per field manager, the set of fields it set last. If the set it keeps for us shrinks or grows
without us, somebody wrote what we own: that is drift, without comparing a single value.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from eventstore.vocabulary import FIELD_MANAGER

#: Steps from the root to a field as managedFields write them: `f:spec`, `k:{"name":"x"}`, `v:"y"`.
FieldPath = tuple[str, ...]

#: Key under which a slimmed object carries its `Ownership` in place of managedFields.
OWNERSHIP_KEY = "stackledgerOwnership"
#: Paths kept per other manager: enough to name the culprit's fields, not a copy of the object.
PATHS_MAX = 200


class Writer(msgspec.Struct, frozen=True):
    """Another field manager and what it owns."""

    manager: str
    #: `Apply` or `Update`
    operation: str
    #: RFC 3339, UTC: compares as text.
    time: str
    paths: tuple[FieldPath, ...]


class Ownership(msgspec.Struct, frozen=True):
    """What managedFields say, in a fraction of their size."""

    #: `owned_digest` of the object.
    digest: str
    others: tuple[Writer, ...]


def read_ownership(obj: Mapping[str, Any], manager: str = FIELD_MANAGER) -> Ownership:
    """The object's ownership, from managedFields or, if it was slimmed, from what was kept of them."""
    kept = obj.get(OWNERSHIP_KEY)
    if isinstance(kept, Ownership):
        return kept
    ours: list[str] = []
    others: list[Writer] = []
    for entry in _entries(obj):
        fields, name = entry.get("fieldsV1"), str(entry.get("manager") or "")
        if entry.get("subresource") or not isinstance(fields, dict):
            # Status and scale are written by controllers: never ours, never drift.
            continue
        if name == manager and entry.get("operation") == "Apply":
            ours.append(json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        elif not name.startswith(manager):
            paths = tuple(path for _, path in zip(range(PATHS_MAX), _leaves(fields, ()), strict=False))
            others.append(Writer(name, str(entry.get("operation") or ""), str(entry.get("time") or ""), paths))
    digest = "sha256:" + hashlib.sha256("\n".join(sorted(ours)).encode()).hexdigest() if ours else ""
    return Ownership(digest, tuple(others))


def owned_digest(obj: Mapping[str, Any]) -> str:
    """`sha256:` over the fields the API server says we applied; "" if it says we own none.

    The same for a whole object and for a slimmed one.
    """
    return read_ownership(obj).digest


def owners_of_changes(
    obj: Mapping[str, Any], applied: Mapping[str, Any] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(managers, paths) of what is no longer as we applied it; both sorted.

    Args:
        obj: the object as it is in the cluster, whole or slimmed.
        applied: the body we applied last. With it, only fields that it sets are named: those now owned by others, and
            those that are gone from the object altogether (nobody owns a removed field, so no manager can be named for
            it). Without it, everything that others own is named.
    """
    managers: set[str] = set()
    paths: set[str] = set()
    for writer in read_ownership(obj).others:
        touched = [path for path in writer.paths if applied is None or _is_set(applied, path)]
        if touched:
            managers.add(writer.manager)
            paths.update(render_path(path) for path in touched)
    if applied is not None:
        paths.update(_removed(applied, obj, ""))
    return tuple(sorted(managers)), tuple(sorted(paths))


def last_spec_manager(obj: Mapping[str, Any]) -> str:
    """Who changed the spec last, us excepted; "unknown" if managedFields do not tell."""
    writers = [
        writer
        for writer in read_ownership(obj).others
        if any(path[0] == "f:spec" for path in writer.paths) and writer.manager
    ]
    return max(writers, key=lambda writer: writer.time).manager if writers else "unknown"


def render_path(path: FieldPath) -> str:
    """`spec.template.spec.containers[name=grafana].image`: what a person writes."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}" if text else rest
        elif kind == "k":
            keys = _json_or_text(rest)
            inner = ",".join(f"{key}={value}" for key, value in keys.items()) if isinstance(keys, dict) else rest
            text += f"[{inner}]"
        else:
            text += f"[{_json_or_text(rest)}]"
    return text


def _entries(obj: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    metadata = obj.get("metadata")
    entries = metadata.get("managedFields") if isinstance(metadata, Mapping) else None
    return (entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()


def _leaves(fields: Mapping[str, Any], path: FieldPath) -> Iterator[FieldPath]:
    for step, below in fields.items():
        if step == ".":
            continue
        inner = (*path, step)
        if isinstance(below, Mapping) and any(key != "." for key in below):
            yield from _leaves(below, inner)
        else:
            yield inner


def _is_set(body: Any, path: FieldPath) -> bool:
    """Whether the body sets the field or something in it."""
    current = body
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f" and isinstance(current, Mapping) and rest in current:
            current = current[rest]
        elif kind == "k" and isinstance(current, list):
            keys = _json_or_text(rest)
            found = [item for item in current if isinstance(keys, dict) and _has_keys(item, keys)]
            if not found:
                return False
            current = found[0]
        elif kind == "v" and isinstance(current, list):
            return _json_or_text(rest) in current
        else:
            # A list or map that we set as a whole: whatever is written inside it is ours.
            return kind in ("i", "k", "v") and current is not body
    return True


def _has_keys(item: Any, keys: Mapping[str, Any]) -> bool:
    # A protocol that was left out is defaulted by the server to TCP and then stands in the key.
    return isinstance(item, Mapping) and all(
        item.get(key, "TCP" if key == "protocol" else None) == value for key, value in keys.items()
    )


def _removed(applied: Any, live: Any, path: str) -> Iterator[str]:
    """Paths of the body that the live object does not have; lists are compared by the `name` of their items."""
    if isinstance(applied, Mapping) and isinstance(live, Mapping):
        for key, value in applied.items():
            inner = f"{path}.{key}" if path else str(key)
            if key not in live:
                # The server drops what is empty or null: its absence says nothing.
                if value not in (None, "", [], {}, False, 0):
                    yield inner
            else:
                yield from _removed(value, live[key], inner)
    elif isinstance(applied, list) and isinstance(live, list):
        yield from _removed_items(applied, live, path)


def _removed_items(applied: list[Any], live: list[Any], path: str) -> Iterator[str]:
    named = {item["name"]: item for item in live if isinstance(item, Mapping) and "name" in item}
    for item in applied:
        if not isinstance(item, Mapping) or "name" not in item:
            continue
        inner = f"{path}[name={item['name']}]"
        if item["name"] in named:
            yield from _removed(item, named[item["name"]], inner)
        else:
            yield inner


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
