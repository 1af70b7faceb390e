"""What an API server does with an object under our CRD, in small: prune, default, validate, CEL. For tests only."""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import celpy
import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
from celpy import celtypes
from celpy.adapter import json_to_cel

from api.crd import build_crd
from api.shapes import quantity_value

Schema = dict[str, Any]


@cache
def root_schema() -> Schema:
    """The schema of the stored version."""
    versions = build_crd()["spec"]["versions"]
    schema: Schema = next(version for version in versions if version["storage"])["schema"]["openAPIV3Schema"]
    return schema


def platform(spec: Any, name: str = "prod") -> dict[str, Any]:
    """A resource with this spec."""
    return {
        "apiVersion": "observability.io/v1beta1",
        "kind": "ObservabilityPlatform",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": spec,
    }


def admit(obj: dict[str, Any], old: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
    """The object as it would be stored, and the reasons for refusing it."""
    stored = prepared(obj)
    validator = jsonschema.Draft202012Validator(_for_jsonschema(root_schema()))
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(stored)]
    if not errors:
        before = prepared(old) if old else None
        errors = [
            message
            for rule, message, value, previous in rules_of(root_schema(), stored, before)
            if not holds(rule, value, previous)
        ]
    return stored, errors


def refused(spec: Any, name: str = "prod", old: Any = None) -> list[str]:
    """The reasons for refusing a resource with this spec; `old`: the spec it replaces."""
    return admit(platform(spec, name), platform(old, name) if old is not None else None)[1]


def prepared(obj: dict[str, Any]) -> dict[str, Any]:
    """Pruned and defaulted."""
    result: dict[str, Any] = _defaulted(_pruned(copy.deepcopy(obj), root_schema()), root_schema())
    result["metadata"] = obj["metadata"]
    return result


def holds(rule: str, value: Any, old: Any = None) -> bool:
    """Whether a CEL rule holds; `old` is bound to oldSelf."""
    scope = {"self": json_to_cel(value)}
    if old is not None:
        scope["oldSelf"] = json_to_cel(old)
    return bool(_program(rule).evaluate(scope))


def rules_of(schema: Schema, value: Any, old: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """Every rule that applies: (rule, message, self, oldSelf). Rules with oldSelf apply to what was there before."""
    for entry in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in entry["rule"]:
            yield entry["rule"], entry["message"], value, None
        elif old is not None:
            yield entry["rule"], entry["message"], value, old
    if isinstance(value, dict):
        for name, below in schema.get("properties", {}).items():
            if name in value:
                yield from rules_of(below, value[name], old.get(name) if isinstance(old, dict) else None)
    if isinstance(value, list) and "items" in schema:
        for entry in value:
            yield from rules_of(schema["items"], entry, None)


@cache
def _program(rule: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule), functions={"quantity": _quantity, "compareTo": _compare})


def _quantity(text: celtypes.Value) -> celtypes.Value:
    return celtypes.DoubleType(quantity_value(str(text)))


def _compare(left: celtypes.Value, right: celtypes.Value) -> celtypes.Value:
    return celtypes.IntType((left > right) - (left < right))  # type: ignore[operator]  # both come from _quantity


def _pruned(value: Any, schema: Schema) -> Any:
    if isinstance(value, list):
        return [_pruned(entry, schema.get("items", {})) for entry in value]
    if not isinstance(value, dict) or ("properties" not in schema and "additionalProperties" not in schema):
        return value
    others = schema.get("additionalProperties")
    known = schema.get("properties", {})
    free = schema.get("x-kubernetes-preserve-unknown-fields", False)
    return {
        key: _pruned(entry, known.get(key, others or {}))
        for key, entry in value.items()
        if key in known or others or free
    }


def _defaulted(value: Any, schema: Schema) -> Any:
    if isinstance(value, list):
        return [_defaulted(entry, schema.get("items", {})) for entry in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    # A null where there is a default is dropped first; one without a default stays, and is refused.
    result = {key: entry for key, entry in value.items() if not (entry is None and "default" in known.get(key, {}))}
    for name, below in known.items():
        if name not in result and "default" in below:
            result[name] = copy.deepcopy(below["default"])
    return {key: _defaulted(entry, known.get(key, {})) for key, entry in result.items()}


def _for_jsonschema(schema: Schema) -> Schema:
    """The same schema for a JSON Schema validator: int-or-string spelled out, `$` not before a line break."""
    result = {key: value for key, value in schema.items() if key not in {"properties", "items", "additionalProperties"}}
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if "pattern" in schema:
        result["pattern"] = schema["pattern"].removesuffix("$") + r"\Z"
    if "properties" in schema:
        result["properties"] = {name: _for_jsonschema(below) for name, below in schema["properties"].items()}
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            result[keyword] = _for_jsonschema(schema[keyword])
    return result
