"""Field ownership: server-side apply, and what any other write does to `metadata.managedFields`."""

from typing import Any, NamedTuple

from sandbox import fieldset
from sandbox.errors import Cause, apply_conflict
from sandbox.fieldset import EMPTY, FieldSet
from sandbox.schemas import Schema, field_schema, is_atomic_map, list_kind, resolve
from sandbox.values import Object, clone, dig


class ManagerKey(NamedTuple):
    """What tells one entry of `managedFields` from another."""

    manager: str
    operation: str
    api_version: str
    subresource: str


class Owned(NamedTuple):
    """What a manager owns, and since when."""

    fields: FieldSet
    time: str


Managers = dict[ManagerKey, Owned]
#: Owns what an object has that nobody was written down for, when the first apply comes.
_BEFORE_FIRST_APPLY = "before-first-apply"


def managers_of(item: Object) -> Managers:
    """Decode `metadata.managedFields`."""
    found: Managers = {}
    for entry in dig(item, "metadata", "managedFields", default=[]):
        key = ManagerKey(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        found[key] = Owned(fieldset.decode(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return found


def entries_of(managers: Managers) -> list[Object]:
    """Encode `metadata.managedFields`: apply entries first, then by time."""
    entries = []
    for key, owned in sorted(managers.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0])):
        if not owned.fields:
            continue
        entry: Object = {
            "manager": key.manager,
            "operation": key.operation,
            "apiVersion": key.api_version,
            **({"time": owned.time} if owned.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset.encode(owned.fields),
        }
        if key.subresource:
            entry["subresource"] = key.subresource
        entries.append(entry)
    return entries


def record_update(
    before: Object | None, after: Object, schema: Schema, writer: ManagerKey, now: str, *, typed: bool = False
) -> Managers:
    """Owners after a write that is not an apply: the writer owns the fields whose values it changed."""
    managers = managers_of(before) if before else {}
    if before is not None and not managers:
        # Nobody has been written down so far: only an apply begins to.
        return {}
    change = fieldset.compare(before or {}, after, schema, typed=typed)
    # What a subresource does not write is not its to own.
    changed = frozenset(path for path in change.changed if (path[0] == "f:status") == (writer.subresource == "status"))
    for key, owned in list(managers.items()):
        lost = owned.fields & (change.removed if key == writer else change.changed | change.removed)
        if lost:
            managers[key] = Owned(owned.fields - lost, owned.time)
    if changed:
        managers[writer] = Owned(managers.get(writer, Owned(EMPTY, now)).fields | changed, now)
    return managers


def apply(
    live: Object | None,
    config: Object,
    schema: Schema,
    writer: ManagerKey,
    *,
    force: bool,
    now: str,
    typed: bool = False,
) -> tuple[Object, Managers]:
    """The object after a server-side apply (`live` itself if that changes nothing), and its owners.

    Raises:
        StatusError: 409, other managers own fields that would change.
    """
    wanted = fieldset.fields_of(config, schema)
    if live is None:
        return clone(config), {writer: Owned(wanted, now)}
    managers = managers_of(live)
    if not managers:
        first = ManagerKey(_BEFORE_FIRST_APPLY, "Update", writer.api_version, "")
        managers = record_update(None, live, schema, first, now, typed=typed)
    earlier = _entry_of(writer, managers)
    previous = managers.pop(earlier) if earlier else Owned(EMPTY, "")
    merged: Object = merge(live, config, schema)
    merged = _pruned(merged, previous.fields, EMPTY.union(wanted, managers_union(managers)), schema)
    change = fieldset.compare(live, merged, schema)
    conflicts = {key: owned.fields & change.changed for key, owned in managers.items()}
    conflicts = {key: fields for key, fields in conflicts.items() if fields}
    if conflicts and not force:
        raise _conflict(conflicts)
    if not change.changed and not change.removed:
        if earlier == writer and previous.fields == wanted:
            return live, {**managers, writer: previous}
        # Who owns what changes and nothing else: the time of the entry stays what it was, if it had one.
        return merged, {**managers, writer: Owned(wanted, previous.time)}
    touched = change.changed | change.removed
    managers = {key: Owned(owned.fields - touched, owned.time) for key, owned in managers.items()}
    return merged, {**managers, writer: Owned(wanted, now)}


def _entry_of(writer: ManagerKey, managers: Managers) -> ManagerKey | None:
    """The entry of an applier: one, whatever version it applied last."""
    return next((key for key in managers if key._replace(api_version="") == writer._replace(api_version="")), None)


def _pruned(merged: Object, previous: FieldSet, kept: FieldSet, schema: Schema) -> Object:
    """Without what the manager applied before, no longer applies, and nobody else owns."""
    if not previous - kept:
        return merged
    gone = fieldset.with_named_parents(previous) - fieldset.with_named_parents(kept)
    # Parts of it are those of the stored object.
    rest: Object = clone(merged)
    for path in sorted(gone, key=lambda path: (len(path), path)):
        fieldset.remove(rest, path, schema)
    return rest


def managers_union(managers: Managers) -> FieldSet:
    """Every field that somebody owns."""
    return EMPTY.union(*(owned.fields for owned in managers.values()))


def _conflict(conflicts: dict[ManagerKey, FieldSet]) -> Exception:
    named = [(_show_manager(key), fieldset.show(path)) for key, fields in conflicts.items() for path in sorted(fields)]
    causes: list[Cause] = [("FieldManagerConflict", f"conflict with {manager}", path) for manager, path in named]
    if len(named) == 1:
        return apply_conflict(causes, f"Apply failed with 1 conflict: conflict with {named[0][0]}: {named[0][1]}")
    lines: list[str] = []
    for manager in sorted({name for name, _ in named}):
        lines.append(f"conflicts with {manager}:")
        lines.extend(f"- {path}" for name, path in named if name == manager)
    return apply_conflict(causes, f"Apply failed with {len(named)} conflicts: " + "\n".join(lines))


def _show_manager(key: ManagerKey) -> str:
    text = f'"{key.manager}"'
    if key.subresource:
        text += f' with subresource "{key.subresource}"'
    if key.operation == "Update":
        text += f" using {key.api_version}"
    return text


def merge(live: Any, config: Any, schema: Schema | None) -> Any:
    """`live` with everything `config` says laid over it; neither is changed."""
    schema = resolve(schema)
    if isinstance(config, dict):
        if not isinstance(live, dict) or is_atomic_map(schema):
            return clone(config)
        merged = dict(live)
        for key, part in config.items():
            if part is None and key not in live:
                continue
            merged[key] = merge(live.get(key), part, field_schema(schema, key))
        return merged
    if isinstance(config, list) and isinstance(live, list) and list_kind(schema) != "atomic":
        return _merge_items(live, config, schema)
    return clone(config)


def _merge_items(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    """What is applied comes in its own order; what others have stays between the items it stood between.

    The steps are those of structured-merge-diff: clients see the order they lead to.
    """
    left = [fieldset.element_of(schema, item) for item in live]
    sent = {fieldset.element_of(schema, item): item for item in config}
    # A key that is there more than once has no item to merge with.
    found = {name: item for name, item in zip(left, live, strict=True) if left.count(name) == 1}
    right, shared = list(sent), [name for name in sent if name in left]
    merged: list[Any] = []
    done: set[str | None] = set()
    at, to = 0, 0
    while at < len(left) or to < len(right):
        if at < len(left) and (left[at] not in sent or left[at] in done):
            if left[at] not in sent:
                merged.append(live[at])
            at += 1
            continue
        if at < len(left) and to < len(right) and left[at] != right[to] and shared and shared[0] != left[at]:
            at += 1
            continue
        name = right[to]
        at += at < len(left) and left[at] == name
        merged.append(merge(found[name], sent[name], schema.get("items")) if name in found else clone(sent[name]))
        done.add(name)
        to += 1
        if shared and shared[0] == name:
            shared.pop(0)
    return merged
