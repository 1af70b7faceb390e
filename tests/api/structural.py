"""The rules by which an API server judges whether a CRD's schema is structural. For tests."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_ALLOWED = frozenset(
    {
        "type",
        "description",
        "default",
        "example",
        "format",
        "pattern",
        "enum",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
    }
)
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean"})


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema in a schema, with its path; the schema itself first."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def faults(root: Schema) -> list[str]:
    """What an API server would refuse the schema for; empty if nothing."""
    return [f"{path}: {fault}" for path, node in nodes(root) for fault in _faults_of(node, path)]


def _faults_of(node: Schema, path: str) -> Iterator[str]:
    yield from (f"a keyword that is not structural: {word}" for word in sorted(node.keys() - _ALLOWED))
    yield from _type_faults(node)
    yield from _object_faults(node, path)
    yield from _list_faults(node)


def _type_faults(node: Schema) -> Iterator[str]:
    kind = node.get("type")
    free = node.get("x-kubernetes-preserve-unknown-fields") is True
    int_or_string = node.get("x-kubernetes-int-or-string") is True
    if kind is None and not (free or int_or_string):
        yield "no type"
    if kind is not None and (kind not in _TYPES or int_or_string):
        yield f"type {kind} is not possible here"
    if free and kind not in {None, "object"}:
        yield "preserve-unknown-fields is for objects"


def _object_faults(node: Schema, path: str) -> Iterator[str]:
    kind = node.get("type")
    if "properties" in node and "additionalProperties" in node:
        yield "properties and additionalProperties exclude each other"
    if ("properties" in node or "additionalProperties" in node) and kind != "object":
        yield "fields without an object"
    if isinstance(node.get("additionalProperties"), bool):
        yield "additionalProperties must be a schema"
    if path.startswith(".metadata.") or (path == ".metadata" and node.keys() - {"type", "description"}):
        yield "metadata can only restrict name and generateName"


def _list_faults(node: Schema) -> Iterator[str]:
    if (node.get("type") == "array") != ("items" in node):
        yield "an array without items, or items without an array"
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys")
    if kind is not None and node.get("type") != "array":
        yield "a list type on what is no list"
    if kind not in {None, "atomic", "set", "map"}:
        yield f"unknown list type {kind}"
    if (kind == "map") != bool(keys):
        yield "map keys and list type map belong together"
    items = node.get("items", {})
    for key in keys or ():
        field = items.get("properties", {}).get(key, {})
        if field.get("type") not in {"string", "integer", "boolean"}:
            yield f"map key {key} must be a scalar field of the items"
        if key not in items.get("required", ()) and "default" not in field:
            yield f"map key {key} must be required or have a default"
