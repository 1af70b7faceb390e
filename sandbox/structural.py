"""What a structural schema does to an object: unknown fields, pruning, defaults, types. Its checks: schemachecks."""

from collections.abc import Iterator
from operator import is_
from typing import Any

from sandbox.fieldset import element_of, show
from sandbox.remembering import by_content
from sandbox.schemas import INT_OR_STRING, PRESERVE, Schema, field_schema, list_keys, list_kind, resolve, traits
from sandbox.values import clone, compact

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def unknown_fields(value: Any, schema: Schema | None, path: str = "") -> Iterator[str]:
    """Paths (`spec.promethues`) that the schema does not know."""
    schema = resolve(schema)
    if isinstance(value, dict):
        for key, part in value.items():
            inner = f"{path}.{key}" if path else key
            found = field_schema(schema, key)
            if found is None:
                yield inner
            elif isinstance(part, (dict, list)):
                yield from unknown_fields(part, found, inner)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from unknown_fields(item, schema.get("items"), f"{path}[{at}]")


def prune(value: Any, schema: Schema | None) -> Any:
    """The value without fields the schema does not know and without nulls it does not allow.

    What has none of them is not copied.
    """
    schema = resolve(schema)
    if isinstance(value, dict):
        kept, changed = {}, False
        for key, part in value.items():
            found = field_schema(schema, key)
            if found is None or (part is None and not _keeps_null(schema, found)):
                changed = True
                continue
            kept[key] = pruned = prune(part, found) if isinstance(part, (dict, list)) else part
            changed = changed or pruned is not part
        return kept if changed else value
    if isinstance(value, list):
        items = [prune(item, schema.get("items")) for item in value]
        return value if all(map(is_, items, value)) else items
    return value


def _keeps_null(parent: Schema, schema: Schema) -> bool:
    return bool(schema.get("nullable")) or bool(parent.get(PRESERVE))


def with_defaults(value: Any, schema: Schema | None) -> Any:
    """The value with the schema's defaults filled in; itself where the schema has none."""
    schema = resolve(schema)
    if not traits(schema).defaults:
        return value
    if isinstance(value, dict):
        filled = dict(value)
        for key, part in (schema.get("properties") or {}).items():
            if "default" in part and key not in filled:
                filled[key] = clone(part["default"])
        return {key: with_defaults(part, field_schema(schema, key)) for key, part in filled.items()}
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items")) for item in value]
    return value


def right_type(value: Any, schema: Schema) -> bool:
    """Whether a value is of the type its schema names."""
    if schema.get(INT_OR_STRING):
        return isinstance(value, int | str) and not isinstance(value, bool)
    if schema.get("format") == "quantity":
        return isinstance(value, int | float | str) and not isinstance(value, bool)
    expected = schema.get("type")
    if expected is None:
        return True
    if isinstance(value, bool):
        return bool(expected == "boolean")
    if expected == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[expected])


def type_name(value: Any) -> str:
    """The name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next(name for name in ("object", "array", "string", "integer", "number") if isinstance(value, _TYPES[name]))


def typed_error(value: Any, schema: Schema | None, path: str = "") -> str | None:
    """Why server-side apply cannot make a typed object of this, in its words; None if it can."""
    schema = resolve(schema)
    if value is None:
        return None
    if isinstance(value, dict) and schema.get("type") in ("object", None) and not schema.get(INT_OR_STRING):
        for key, part in value.items():
            found = field_schema(schema, key)
            inner = f"{path}.{key}"
            text = f"{inner}: field not declared in schema" if found is None else typed_error(part, found, inner)
            if text:
                return text
        return None
    if isinstance(value, list) and schema.get("type") in ("array", None):
        return _typed_list_error(value, schema, path)
    if not right_type(value, schema):
        return f"{path}: {_expectation(value, str(schema.get('type')))}"
    return None


@by_content
def apply_fault(config: Any, schema: Schema) -> str | None:
    """`typed_error` of a whole configuration."""
    return typed_error(config, schema)


@by_content
def fitted(body: Any, schema: Schema) -> Any:
    """A value pruned and with the defaults of its schema; not to be changed."""
    return with_defaults(prune(body, schema), schema)


@by_content
def pruned(body: Any, schema: Schema) -> Any:
    """A value pruned; not to be changed."""
    return prune(body, schema)


def _expectation(value: Any, wanted: str) -> str:
    """What was expected and what came, printed as Go does with three different verbs."""
    if wanted == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{compact(value)}}}"
    if wanted == "boolean":
        return f"expected boolean, got &{{{_go(value)}}}"
    if wanted in ("object", "array"):
        return f"expected {'map' if wanted == 'object' else 'list'}, got &{{{_go(value)}}}"
    kinds = {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}
    return f"expected numeric (int or float), got {kinds.get(type(value), 'string')}"


def _go(value: Any) -> str:
    """A value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go(part)}" for key, part in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go(part) for part in value) + "]"
    return value if isinstance(value, str) else compact(value)


def _typed_list_error(value: list[Any], schema: Schema, path: str) -> str | None:
    seen: set[str] = set()
    for at, item in enumerate(value):
        inner = f"{path}[{at}]"
        if list_kind(schema) != "atomic":
            name = element_of(schema, item)
            if name is None:
                keys = " ".join(f'"{key}"' for key in list_keys(schema))
                return (
                    f"{path}: element {at}: associative list with keys has an element that omits all key fields "
                    f"[{keys}] (and doesn't have default values for any key fields)"
                )
            if name in seen:
                return f"{path}: duplicate entries for key {show((name,))}"
            seen.add(name)
            inner = path + show((name,))
        text = typed_error(item, schema.get("items"), inner)
        if text:
            return text
    return None
