"""Structural schemas: OpenAPI v3 objects, read the same way for built-in kinds and for custom resources."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
#: Anything goes.
OPEN_SCHEMA: Schema = {PRESERVE: True}
META_NAME = "apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def builtin_schemas() -> dict[str, Schema]:
    """Every definition the built-in kinds use, by short name (`api.core.v1.Pod`)."""
    loaded: dict[str, Schema] = json.loads(Path(__file__).with_name("builtin_schemas.json").read_text())
    return loaded


def resolve(schema: Schema | None) -> Schema:
    """The schema behind a reference, with what stands beside the reference; an open one for None."""
    if schema is None:
        return OPEN_SCHEMA
    name = schema.get("$ref")
    return builtin_schemas()[name] if name else schema


def metadata_schema() -> Schema:
    """The schema of `.metadata` of any kind."""
    return builtin_schemas()[META_NAME]


def field_schema(schema: Schema, key: str) -> Schema | None:
    """Schema of a field of an object; None when the schema does not know it."""
    properties = schema.get("properties")
    if properties and key in properties:
        found: Schema = properties[key]
        return found
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return extra
    if extra is True or schema.get(PRESERVE):
        return OPEN_SCHEMA
    return None


class Traits(NamedTuple):
    """What is said anywhere in a schema; where nothing is, nobody needs to look for it in a value."""

    rules: bool
    defaults: bool
    #: Lists whose items are told apart.
    keyed_lists: bool


#: Schemas are never changed: what was found in one holds as long as it is there, which is why it is kept with it.
_traits: dict[int, tuple[Schema, Traits]] = {}


def traits(schema: Schema) -> Traits:
    """What is said in a schema and in all schemas of its parts."""
    known = _traits.get(id(schema))
    if known is None:
        parts = _all_parts(schema)
        rules = any(part.get("x-kubernetes-validations") for part in parts)
        keyed = any(list_kind(part) != "atomic" for part in parts)
        known = _traits[id(schema)] = schema, Traits(rules, any("default" in part for part in parts), keyed)
    return known[1]


def _all_parts(schema: Schema) -> list[Schema]:
    """A schema and every one that can be reached from it; some refer to themselves."""
    found: dict[int, Schema] = {}
    left = [schema]
    while left:
        part = left.pop()
        if id(part) in found:
            continue
        found[id(part)] = part
        if "$ref" in part:
            left.append(resolve(part))
        left += (part.get("properties") or {}).values()
        left += [inner for name in ("additionalProperties", "items") if isinstance(inner := part.get(name), dict)]
    return list(found.values())


def is_atomic_map(schema: Schema) -> bool:
    """Objects that are one value for field ownership."""
    return schema.get("x-kubernetes-map-type") == "atomic"


def list_kind(schema: Schema) -> str:
    """`map`, `set` or `atomic` (the default)."""
    return str(schema.get("x-kubernetes-list-type") or "atomic")


def list_keys(schema: Schema) -> list[str]:
    """Keys of an associative list."""
    return list(schema.get("x-kubernetes-list-map-keys") or [])


def item_key(schema: Schema, item: Any) -> dict[str, Any] | None:
    """The key of an item of an associative list, with defaults of the item's schema; None if it has none."""
    if not isinstance(item, dict):
        return None
    element = resolve(schema.get("items"))
    key: dict[str, Any] = {}
    for name in list_keys(schema):
        value = item.get(name)
        if value is None:
            value = resolve((element.get("properties") or {}).get(name)).get("default")
        if value is not None:
            key[name] = value
    return key or None
