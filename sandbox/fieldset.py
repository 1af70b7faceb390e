"""Sets of field paths, as `metadata.managedFields` holds them (`fieldsV1`).

A path is a tuple of elements in their stored form: `f:name` a field, `k:{"name":"x"}` an item of an associative list,
`v:"x"` a member of a set.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from sandbox.remembering import by_content
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


@by_content
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


@lru_cache(4096)
def encode(fields: FieldSet) -> dict[str, Any]:
    """The `fieldsV1` object of a set; not to be changed."""
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
    if key is None:
        return None
    if all(type(value) is str for value in key.values()):
        return _named(tuple(key.items()))
    return "k:" + compact(key)


@lru_cache(4096)
def _named(key: tuple[tuple[str, str], ...]) -> str:
    return "k:" + compact(dict(key))


@by_content
def fields_of(value: dict[str, Any], schema: Schema) -> FieldSet:
    """Every field an applied object sets, but for those that no manager owns."""
    found: set[Path] = set()
    for key, part in _ownable(value).items():
        _add_fields(part, field_schema(schema, key), (f"f:{key}",), found)
    return frozenset(found)


def _ownable(value: dict[str, Any]) -> dict[str, Any]:
    """An object without what no manager owns."""
    kept = {key: part for key, part in value.items() if key not in ("apiVersion", "kind")}
    if "metadata" in kept:
        kept["metadata"] = {key: part for key, part in kept["metadata"].items() if key not in _UNOWNED_METADATA}
        if not kept["metadata"]:
            del kept["metadata"]
    return kept


def _add_fields(value: Any, schema: Schema | None, path: Path, found: set[Path]) -> None:
    schema = resolve(schema)
    if isinstance(value, dict) and value and not is_atomic_map(schema):
        for key, part in value.items():
            inner = (*path, f"f:{key}")
            _add_fields(part, field_schema(schema, key), inner, found)
            if key not in (schema.get("properties") or {}):
                # The entry of a map, not a field of a struct: owned as such.
                found.add(inner)
    elif isinstance(value, list) and list_kind(schema) != "atomic":
        names = [element_of(schema, item) for item in value]
        for name, item in zip(names, value, strict=True):
            if name is None:
                continue
            found.add((*path, name))
            if name.startswith("k:") and names.count(name) == 1:
                _add_fields(item, schema.get("items"), (*path, name), found)
    else:
        found.add(path)


class Change(NamedTuple):
    """What tells two objects apart."""

    #: Fields that are new or have another value.
    changed: FieldSet
    #: Fields that are gone.
    removed: FieldSet


def compare(before: dict[str, Any], after: dict[str, Any], schema: Schema, *, typed: bool = False) -> Change:
    """The fields in which an object differs from another, whole structs and lists that come or go included.

    Args:
        typed: the objects are of a built-in kind, whose structs are there in Go even if nothing is set in them.
    """
    comparison = _Comparison(typed)
    comparison.visit_map(_ownable(before), _ownable(after), schema, ())
    changed, removed = (frozenset(found - {("f:metadata",)}) for found in (comparison.changed, comparison.removed))
    return Change(changed, removed)


class _Absent:
    """Stands for a value that is not there, on one side of a comparison."""


_ABSENT = _Absent()


class _Comparison:
    """The walk of structured-merge-diff's `Compare`."""

    def __init__(self, typed: bool) -> None:
        self._typed = typed
        self.changed: set[Path] = set()
        self.removed: set[Path] = set()

    def _visit(self, old: Any, new: Any, schema: Schema | None, path: Path) -> None:
        if old is new:
            return
        schema = resolve(schema)
        shown = old if isinstance(new, _Absent) else new
        if isinstance(shown, dict) and not is_atomic_map(schema) and (old or new) and _fits(old, dict):
            self.visit_map(old, new, schema, path)
        elif isinstance(shown, list) and list_kind(schema) != "atomic" and (old or new) and _fits(old, list):
            self._visit_items(old, new, schema, path)
        elif not isinstance(old, _Absent) and not isinstance(new, _Absent):
            if not equal(old, new):
                self.changed.add(path)
            return
        if isinstance(old, _Absent):
            self.changed.add(path)
        elif isinstance(new, _Absent):
            self.removed.add(path)

    def visit_map(self, old: Any, new: Any, schema: Schema, path: Path) -> None:
        """Everything in two objects, either of which may be absent."""
        keys = dict.fromkeys([*(old if isinstance(old, dict) else ()), *(new if isinstance(new, dict) else ())])
        for key in keys:
            found = field_schema(schema, key)
            left, right = self._part(old, key, schema), self._part(new, key, schema)
            self._visit(left, right, found, (*path, f"f:{key}"))

    def _part(self, side: Any, key: str, schema: Schema) -> Any:
        if not isinstance(side, dict):
            return _ABSENT
        if key in side:
            return side[key]
        if self._typed:
            field = (schema.get("properties") or {}).get(key, {})
            if field.get("default") == {}:
                return {}
            if key in (schema.get("required") or ()):
                return None
        return _ABSENT

    def _visit_items(self, old: Any, new: Any, schema: Schema, path: Path) -> None:
        before, after = (_by_element(side, schema) for side in (old, new))
        for name in dict.fromkeys([*before, *after]):
            left, right = before.get(name, []), after.get(name, [])
            inner = (*path, name)
            if len(left) > 1 or len(right) > 1:
                # The same key more than once: one value, as far as owners go.
                if not equal(left, right):
                    (self.changed if right else self.removed).add(inner)
                continue
            self._visit(left[0] if left else _ABSENT, right[0] if right else _ABSENT, schema.get("items"), inner)


def _fits(value: Any, wanted: type) -> bool:
    return value is None or isinstance(value, (wanted, _Absent))


def _by_element(items: Any, schema: Schema) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items if isinstance(items, list) else ():
        name = element_of(schema, item)
        if name is not None:
            found.setdefault(name, []).append(item)
    return found


def with_named_parents(fields: FieldSet) -> FieldSet:
    """The set with every named field above its members, but for `metadata`: no object is without."""
    found = set(fields)
    for path in fields:
        for length in range(len(path) - 1, 0, -1):
            if path[length - 1].startswith("f:"):
                found.add(path[:length])
    return frozenset(found - {("f:metadata",)})


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
