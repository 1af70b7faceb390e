"""Field ownership: server-side apply, and what any other write does to `metadata.managedFields`."""

from typing import Any, NamedTuple

from sandbox import fieldset
from sandbox.errors import Cause, apply_conflict
from sandbox.fieldset import EMPTY, FieldSet
from sandbox.schemas import Schema, field_schema, is_atomic_map, list_kind, resolve
from sandbox.values import Object, clone, dig, equal


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
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset.encode(owned.fields),
        }
        if key.subresource:
            entry["subresource"] = key.subresource
        entries.append(entry)
    return entries


def record_update(before: Object | None, after: Object, schema: Schema, writer: ManagerKey, now: str) -> Managers:
    """Owners after a write that is not an apply: the writer owns the fields whose values it changed."""
    managers = managers_of(before) if before else {}
    changed, removed = fieldset.compare(before or {}, after, schema)
    touched = changed | removed
    if not touched:
        return managers
    for key, owned in list(managers.items()):
        lost = owned.fields & (touched if key != writer else removed)
        if lost:
            managers[key] = Owned(owned.fields - lost, owned.time)
    mine = managers.get(writer, Owned(EMPTY, now))
    if changed:
        managers[writer] = Owned(mine.fields | changed, now)
    return managers


def apply(
    live: Object | None, config: Object, schema: Schema, writer: ManagerKey, *, force: bool, now: str
) -> tuple[Object, Managers]:
    """The object after a server-side apply (`live` itself if that changes nothing), and its owners.

    Raises:
        StatusError: 409, other managers own fields that would change.
    """
    wanted = fieldset.fields_of(config, schema)
    if live is None:
        return clone(config), {writer: Owned(wanted, now)}
    managers = managers_of(live)
    merged: Object = merge(live, config, schema)
    changed, _ = fieldset.compare(live, merged, schema)
    conflicts = {key: owned.fields & changed for key, owned in managers.items() if key != writer}
    conflicts = {key: fields for key, fields in conflicts.items() if fields}
    if conflicts and not force:
        raise _conflict(conflicts, managers)
    for key, fields in conflicts.items():
        managers[key] = Owned(managers[key].fields - fields, managers[key].time)
    previous = managers.get(writer, Owned(EMPTY, now))
    if not changed and previous.fields == wanted:
        return live, managers
    managers[writer] = previous if previous.fields == wanted else Owned(wanted, now)
    _prune(merged, previous.fields, managers, schema)
    return merged, managers


def _prune(merged: Object, previous: FieldSet, managers: Managers, schema: Schema) -> None:
    """Take out what the manager applied before, no longer applies, and nobody else owns."""
    if not previous - managers_union(managers):
        return
    gone = fieldset.with_named_parents(previous) - fieldset.with_named_parents(managers_union(managers))
    for path in sorted(gone, key=lambda path: (len(path), path)):
        fieldset.remove(merged, path, schema)


def managers_union(managers: Managers) -> FieldSet:
    """Every field that somebody owns."""
    return EMPTY.union(*(owned.fields for owned in managers.values()))


def _conflict(conflicts: dict[ManagerKey, FieldSet], managers: Managers) -> Exception:
    named = [
        (_show_manager(key, managers[key].time), fieldset.show(path))
        for key, fields in conflicts.items()
        for path in sorted(fields)
    ]
    causes: list[Cause] = [("FieldManagerConflict", f"conflict with {manager}", path) for manager, path in named]
    if len(named) == 1:
        return apply_conflict(causes, f"Apply failed with 1 conflict: conflict with {named[0][0]}: {named[0][1]}")
    lines: list[str] = []
    for manager in sorted({name for name, _ in named}):
        lines.append(f"conflicts with {manager}:")
        lines.extend(f"- {path}" for name, path in named if name == manager)
    return apply_conflict(causes, f"Apply failed with {len(named)} conflicts: " + "\n".join(lines))


def _show_manager(key: ManagerKey, time: str) -> str:
    text = f'"{key.manager}"'
    if key.subresource:
        text += f' with subresource "{key.subresource}"'
    if key.operation == "Update":
        text += f" using {key.api_version}" + (f" at {time}" if time else "")
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
    if list_kind(schema) == "set":
        return [*live, *(item for item in config if not any(equal(item, other) for other in live))]
    wanted = {fieldset.element_of(schema, item): item for item in config}
    merged = []
    for item in live:
        element = fieldset.element_of(schema, item)
        if element in wanted:
            merged.append(merge(item, wanted.pop(element), schema.get("items")))
        else:
            merged.append(item)
    return [*merged, *(clone(item) for item in wanted.values())]
