"""Sets of field paths, as `metadata.managedFields` holds them (`fieldsV1`).

A path is a tuple of elements in their stored form: `f:name` a field, `k:{"name":"x"}` an item of an associative list,
`v:"x"` a member of a set.
"""

import json
from typing import Any

from sandbox.schemas import Schema, field_schema, is_atomic_map, item_key, list_kind, resolve
from sandbox.values import compact, equal

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: FieldSet = frozenset()
#: Fields that no manager owns.
_UNOWNED_METADATA = frozenset(
    [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ]
)


def decode(tree: dict[str, Any]) -> FieldSet:
    """The set that a `fieldsV1` object stands for."""
    found: set[Path] = set()
    _decode(tree, (), found)
    return frozenset(found)


def _decode(tree: dict[str, Any], path: Path, found: set[Path]) -> None:
    if not tree:
        if path:
            found.add(path)
        return
    for key, part in tree.items():
        if key == ".":
            found.add(path)
        else:
            _decode(part, (*path, key), found)


def encode(fields: FieldSet) -> dict[str, Any]:
    """The `fieldsV1` object of a set."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_leaf_marks(tree)


def _without_leaf_marks(tree: dict[str, Any]) -> dict[str, Any]:
    if tree.keys() == {"."}:
        return {}
    return {key: part if key == "." else _without_leaf_marks(part) for key, part in tree.items()}


def show(path: Path) -> str:
    """`.spec.template.spec.containers[name="x"].image`."""
    parts: list[str] = []
    for element in path:
        kind, value = element[:2], element[2:]
        if kind == "f:":
            parts.append(f".{value}")
        elif kind == "k:":
            shown = ",".join(f"{key}={compact(part)}" for key, part in json.loads(value).items())
            parts.append(f"[{shown}]")
        else:
            parts.append(f"[={value}]")
    return "".join(parts)


def element_of(schema: Schema, item: Any) -> str | None:
    """Path element of an item of an associative list or a set; None for an item without a key."""
    if list_kind(schema) == "set":
        return "v:" + compact(item)
    key = item_key(schema, item)
    return None if key is None else "k:" + compact(key)


def fields_of(value: dict[str, Any], schema: Schema) -> FieldSet:
    """Every field an object sets, but for those that no manager owns."""
    found: dict[Path, Any] = {}
    leaves_of(value, schema, found)
    return frozenset(found)


def leaves_of(value: dict[str, Any], schema: Schema, found: dict[Path, Any]) -> None:
    """Paths with their values, of an object without the fields that no manager owns."""
    for key, part in value.items():
        if key in ("apiVersion", "kind"):
            continue
        if key == "metadata":
            part = {name: inner for name, inner in part.items() if name not in _UNOWNED_METADATA}
            if not part:
                continue
        _leaves(part, field_schema(schema, key), (f"f:{key}",), found)


def _leaves(value: Any, schema: Schema | None, path: Path, found: dict[Path, Any]) -> None:
    schema = resolve(schema)
    if isinstance(value, dict) and value and not is_atomic_map(schema):
        for key, part in value.items():
            _leaves(part, field_schema(schema, key), (*path, f"f:{key}"), found)
    elif isinstance(value, list) and list_kind(schema) != "atomic":
        element = schema.get("items")
        for item in value:
            name = element_of(schema, item)
            if name is None:
                continue
            inner = (*path, name)
            found[inner] = item if name.startswith("v:") else None
            if name.startswith("k:"):
                _leaves(item, element, inner, found)
    else:
        found[path] = value


def compare(before: dict[str, Any], after: dict[str, Any], schema: Schema) -> tuple[FieldSet, FieldSet]:
    """Paths that are new or have another value, and paths that are gone."""
    old: dict[Path, Any] = {}
    new: dict[Path, Any] = {}
    leaves_of(before, schema, old)
    leaves_of(after, schema, new)
    changed = frozenset(path for path, value in new.items() if path not in old or not equal(old[path], value))
    return changed, frozenset(old.keys() - new.keys())


def with_named_parents(fields: FieldSet) -> FieldSet:
    """The set with every named field above its members."""
    found = set(fields)
    for path in fields:
        for length in range(len(path) - 1, 0, -1):
            if path[length - 1].startswith("f:"):
                found.add(path[:length])
    return frozenset(found)


def remove(value: dict[str, Any], path: Path, schema: Schema) -> None:
    """Take what stands at a path out of an object, in place."""
    node: Any = value
    shape: Schema = schema
    for depth, element in enumerate(path):
        last = depth == len(path) - 1
        shape = resolve(shape)
        if element.startswith("f:"):
            key = element[2:]
            if not isinstance(node, dict) or key not in node:
                return
            if last:
                del node[key]
                return
            node, shape = node[key], field_schema(shape, key) or {}
        else:
            if not isinstance(node, list):
                return
            index = next((at for at, item in enumerate(node) if element_of(shape, item) == element), None)
            if index is None:
                return
            if last:
                del node[index]
                return
            node, shape = node[index], shape.get("items") or {}
