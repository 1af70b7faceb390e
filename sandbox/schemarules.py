"""What a schema of a CustomResourceDefinition must be like: structural, with defaults that fit and rules that parse."""

import re
from typing import Any

from sandbox.cel_parse import CelSyntaxError, parse
from sandbox.errors import Cause, forbidden_field, invalid_value, required, unsupported
from sandbox.schemachecks import violations
from sandbox.schemas import INT_OR_STRING, PRESERVE
from sandbox.values import compact

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("$ref", "$schema", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_KEYS, _KIND = "x-kubernetes-list-map-keys", "x-kubernetes-list-type"


def schema_causes(schema: Any, path: str, *, root: bool = True) -> list[Cause]:
    """Everything about a schema that keeps a definition from being accepted; rules are parsed and not typed."""
    if not isinstance(schema, dict):
        return [invalid_value(path, schema, "must be a schema")]
    causes = [*_shape_causes(schema, path), *_list_causes(schema, path), *_rule_causes(schema, path)]
    if schema.get("default") is not None:
        causes += violations(schema["default"], schema, f"{path}.default", name="")
    for key, part in (schema.get("properties") or {}).items():
        if not (root and key == "metadata"):
            causes += schema_causes(part, f"{path}.properties[{key}]", root=False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            causes += schema_causes(schema[key], f"{path}.{key}", root=False)
    return causes


def _shape_causes(schema: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = [
        forbidden_field(f"{path}.{key}", f"{key} is not supported") for key in _UNSUPPORTED if key in schema
    ]
    kind = schema.get("type")
    if not kind and not causes and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        causes.append(required(f"{path}.type", "must not be empty for specified object fields"))
    if kind and kind not in _TYPES:
        causes.append(unsupported(f"{path}.type", kind, list(_TYPES)))
    if schema.get(PRESERVE) is False:
        causes.append(invalid_value(f"{path}.{PRESERVE}", False, "must be true or undefined"))
    if schema.get("properties") and schema.get("additionalProperties"):
        causes.append(
            forbidden_field(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
        )
    try:
        re.compile(schema.get("pattern") or "")
    except re.error as error:
        text = f"must be a valid regular expression, but isn't: {error}"
        causes.append(invalid_value(f"{path}.pattern", schema["pattern"], text))
    return causes


def _list_causes(schema: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    if schema.get("type") == "array" and "items" not in schema:
        causes.append(required(f"{path}.items", "must be specified"))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        causes.append(forbidden_field(f"{path}.uniqueItems", text))
    if schema.get(_KIND) != "map":
        return causes
    keys, items = schema.get(_KEYS) or [], schema.get("items") or {}
    if not keys:
        causes.append(required(f"{path}.{_KEYS}", f"must not be empty if {_KIND} is map"))
    elif not set(keys) <= set(items.get("properties") or {}):
        shown = f"Invalid value: {compact(keys)}: entries must all be names of item properties"
        causes.append(("FieldValueInvalid", shown, f"{path}.{_KEYS}"))
    if items and items.get("type") != "object":
        text = f"must be object if parent array's {_KIND} is map"
        causes.append(invalid_value(f"{path}.items.type", items.get("type"), text))
    return causes


def _rule_causes(schema: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for at, rule in enumerate(schema.get("x-kubernetes-validations") or []):
        where = f"{path}.x-kubernetes-validations[{at}].rule"
        text = str(rule.get("rule") or "")
        if not text.strip():
            causes.append(required(where, "rule is not specified"))
            continue
        try:
            parse(text)
        except CelSyntaxError as error:
            shown = compact({"Rule": text})
            wrong = f"compilation failed: ERROR: <input>:1:1: Syntax error: {error}"
            causes.append(("FieldValueInvalid", f"Invalid value: {shown}: {wrong}", where))
    return causes
