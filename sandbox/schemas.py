"""Structural schemas: OpenAPI v3 objects, read the same way for built-in kinds and for custom resources."""

import json
from functools import cache
from pathlib import Path
from typing import Any

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
