"""What Go says when JSON does not fit its types: the server's refusals of built-in objects are in these words."""

import re
from typing import Any

from sandbox.kinds import Kind, Version
from sandbox.schemas import INT_OR_STRING, META_NAME, Schema, resolve
from sandbox.values import Object

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
#: What a string must look like to be a quantity.
QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SCALARS = {"string": "string", "boolean": "bool", "number": "float64"}


def decode_fault(item: Object, kind: Kind, version: Version, field: str) -> str:
    """Why the value at a path (`spec.containers[0].image`) cannot be decoded.

    Of custom resources only the metadata is decoded.
    """
    owner, schema = kind.kind, version.schema
    value: Any = item
    if kind.custom:
        value = item["metadata"]
        owner, schema = "ObjectMeta", resolve({"$ref": META_NAME})
        field = field.removeprefix("metadata.")
    names: list[str] = []
    for match in _STEP.finditer(field):
        name, index = match.groups()
        if index is not None:
            schema, value = (schema.get("items") or {}), value[int(index)]
        elif "properties" in resolve(schema):
            owner = _struct(schema) or owner
            names.append(name)
            schema, value = resolve(schema)["properties"].get(name, {}), value[name]
        else:
            # A key of a map is no field of a struct.
            schema, value = resolve(schema).get("additionalProperties") or {}, value[name]
    wanted = _go_type(schema)
    if wanted == "resource.Quantity":
        return QUANTITY
    return f"json: cannot unmarshal {_json_type(value)} into Go struct field {owner}.{'.'.join(names)} of type {wanted}"


def _struct(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition(".")[2]


def _go_type(schema: Schema) -> str:
    resolved = resolve(schema)
    if resolved.get("format") == "quantity":
        return "resource.Quantity"
    if resolved.get(INT_OR_STRING):
        return "intstr.IntOrString"
    name = str(schema.get("$ref", ""))
    if name:
        return f"{name.split('.')[-2]}.{_struct(schema)}"
    kind = str(resolved.get("type"))
    if kind == "integer":
        return str(resolved.get("format") or "int64")
    if kind == "array":
        return f"[]{_go_type(resolved.get('items') or {})}"
    if kind == "object":
        return f"map[string]{_go_type(resolved.get('additionalProperties') or {})}"
    return _SCALARS.get(kind, kind)


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return f"number {value}"
    return {str: "string", int: "number", dict: "object", list: "array"}.get(type(value), "null")
