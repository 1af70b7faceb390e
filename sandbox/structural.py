"""What a structural schema does to an object: pruning, defaulting, validation."""

import re
from collections.abc import Iterator
from typing import Any

from sandbox.cel import CelError, CelUnsupportedError, evaluate
from sandbox.errors import Cause, invalid_value, required, shown
from sandbox.fieldset import element_of, show
from sandbox.schemas import INT_OR_STRING, PRESERVE, Schema, field_schema, list_keys, list_kind, resolve
from sandbox.values import clone, compact, equal, quantity

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_MISSING = object()
#: Rules that could not be evaluated: rule text -> why. Shown under /sandbox/rules.
unevaluated_rules: dict[str, str] = {}


def unknown_fields(value: Any, schema: Schema | None, path: str = "") -> Iterator[str]:
    """Paths (`spec.promethues`) that the schema does not know."""
    schema = resolve(schema)
    if isinstance(value, dict):
        for key, part in value.items():
            inner = f"{path}.{key}" if path else key
            found = field_schema(schema, key)
            if found is None:
                yield inner
            else:
                yield from unknown_fields(part, found, inner)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from unknown_fields(item, schema.get("items"), f"{path}[{at}]")


def prune(value: Any, schema: Schema | None) -> Any:
    """The value without fields the schema does not know and without nulls it does not allow."""
    schema = resolve(schema)
    if isinstance(value, dict):
        kept = {}
        for key, part in value.items():
            found = field_schema(schema, key)
            if found is None or (part is None and not _keeps_null(schema, found)):
                continue
            kept[key] = prune(part, found)
        return kept
    if isinstance(value, list):
        return [prune(item, schema.get("items")) for item in value]
    return value


def _keeps_null(parent: Schema, schema: Schema) -> bool:
    return bool(schema.get("nullable")) or bool(parent.get(PRESERVE))


def with_defaults(value: Any, schema: Schema | None) -> Any:
    """The value with the schema's defaults filled in."""
    schema = resolve(schema)
    if isinstance(value, dict):
        filled = dict(value)
        for key, part in (schema.get("properties") or {}).items():
            if "default" in part and key not in filled:
                filled[key] = clone(part["default"])
        return {key: with_defaults(part, field_schema(schema, key)) for key, part in filled.items()}
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items")) for item in value]
    return value


def violations(value: Any, schema: Schema | None, path: str = "") -> Iterator[Cause]:
    """Everything about the value that the schema forbids, but for its CEL rules."""
    schema = resolve(schema)
    if value is None and schema.get("nullable"):
        return
    if not _right_type(value, schema):
        expected = schema.get("type", "integer")
        name = _type_name(value)
        yield (
            "FieldValueTypeInvalid",
            f'Invalid value: "{name}": {path} in body must be of type {expected}: "{name}"',
            path,
        )
        return
    yield from _value_violations(value, schema, path)
    if isinstance(value, dict):
        yield from _object_violations(value, schema, path)
    elif isinstance(value, list):
        yield from _array_violations(value, schema, path)


def _right_type(value: Any, schema: Schema) -> bool:
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


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next(name for name in ("object", "array", "string", "integer", "number") if isinstance(value, _TYPES[name]))


def _value_violations(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and not any(equal(value, item) for item in allowed):
        listed = ", ".join(shown(item) for item in allowed)
        yield "FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", path
    if isinstance(value, str):
        yield from _string_violations(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_violations(value, schema, path)


def _string_violations(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        yield "FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes", path
    pattern = schema.get("pattern")
    if pattern and not re.search(_python_pattern(pattern), value):
        yield invalid_value(path, value, f"{path} in body should match '{pattern}'")
    if schema.get("format") == "quantity":
        try:
            quantity(value)
        except ValueError:
            text = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            yield invalid_value(path, value, text)


def _python_pattern(pattern: str) -> str:
    """Go's `$` is the end of the text; Python's lets a newline follow."""
    return re.sub(r"(?<!\\)\$", r"\\Z", pattern)


def _number_violations(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        word = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {low}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        word = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {high}")
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield invalid_value(path, value, f"{path} in body should be an int32")
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {schema['multipleOf']}")


def _object_violations(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    prefix = f"{path}." if path else ""
    for key in schema.get("required") or []:
        if key not in value:
            yield required(f"{prefix}{key}")
    if len(value) < schema.get("minProperties", 0):
        yield invalid_value(
            path, len(value), f"{path} in body should have at least {schema['minProperties']} properties"
        )
    if len(value) > schema.get("maxProperties", len(value)):
        yield "FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema['maxProperties']} items", path
    for key, part in value.items():
        found = field_schema(schema, key)
        if found is not None:
            yield from violations(part, found, f"{prefix}{key}")


def _array_violations(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    if len(value) < schema.get("minItems", 0):
        yield invalid_value(path, len(value), f"{path} in body should have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield "FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema['maxItems']} items", path
    seen: set[str] = set()
    for at, item in enumerate(value):
        name = element_of(schema, item) if list_kind(schema) != "atomic" else None
        if name is not None and name in seen:
            key = item if name.startswith("v:") else {key: item.get(key) for key in list_keys(schema)}
            yield "FieldValueDuplicate", f"Duplicate value: {compact(key)}", f"{path}[{at}]"
        elif name is not None:
            seen.add(name)
        yield from violations(item, schema.get("items"), f"{path}[{at}]")


def rule_violations(value: Any, before: Any, schema: Schema | None, path: str = "") -> Iterator[Cause]:
    """CEL rules (`x-kubernetes-validations`) that do not hold; `before` is `MISSING` on create."""
    schema = resolve(schema)
    for rule in schema.get("x-kubernetes-validations") or []:
        broken = _broken_rule(rule, value, before, schema, path)
        if broken:
            yield broken
    if isinstance(value, dict):
        old = before if isinstance(before, dict) else {}
        prefix = f"{path}." if path else ""
        for key, part in value.items():
            found = field_schema(schema, key)
            if found is not None:
                yield from rule_violations(part, old.get(key, _MISSING), found, f"{prefix}{key}")
    elif isinstance(value, list):
        yield from _item_rule_violations(value, before, schema, path)


MISSING = _MISSING


def _item_rule_violations(value: list[Any], before: Any, schema: Schema, path: str) -> Iterator[Cause]:
    """Items of associative lists are compared with the old item of the same key; others have no old value."""
    old: dict[str | None, Any] = {}
    keyed = list_kind(schema) == "map"
    if keyed and isinstance(before, list):
        old = {element_of(schema, item): item for item in before}
    for at, item in enumerate(value):
        previous = old.get(element_of(schema, item), _MISSING) if keyed else _MISSING
        yield from rule_violations(item, previous, schema.get("items"), f"{path}[{at}]")


def _broken_rule(rule: dict[str, Any], value: Any, before: Any, schema: Schema, path: str) -> Cause | None:
    text = rule["rule"]
    scope: dict[str, Any] = {"self": value}
    if re.search(r"\boldSelf\b", text):
        if before is _MISSING and not rule.get("optionalOldSelf"):
            return None
        scope["oldSelf"] = before
    field = path + (rule.get("fieldPath") or "")
    name = schema.get("type", "object")
    try:
        if evaluate(text, scope) is True:
            return None
        message = rule.get("message") or f"failed rule: {text.strip()}"
        if rule.get("messageExpression"):
            made = evaluate(rule["messageExpression"], scope)
            message = made if isinstance(made, str) and made.strip() else message
    except CelUnsupportedError as error:
        unevaluated_rules[text] = str(error)
        return None
    except CelError as error:
        message = f"rule evaluation error: {error}: {text}"
    reason = rule.get("reason") or "FieldValueInvalid"
    if reason == "FieldValueRequired":
        return reason, f"Required value: {message}", field
    if reason == "FieldValueForbidden":
        return reason, f"Forbidden: {message}", field
    return reason, f'Invalid value: "{name}": {message}', field


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
    if not _right_type(value, schema):
        expected = {"string": "string", "boolean": "boolean", "object": "map", "array": "list"}
        wanted = expected.get(str(schema.get("type")), "numeric (int or float)")
        return f"{path}: expected {wanted}, got {compact(value)}"
    return None


def _typed_list_error(value: list[Any], schema: Schema, path: str) -> str | None:
    seen: set[str] = set()
    for at, item in enumerate(value):
        inner = f"{path}[{at}]"
        if list_kind(schema) != "atomic":
            name = element_of(schema, item)
            if name is None:
                keys = ", ".join(f'"{key}"' for key in list_keys(schema))
                return f"{path}: element {at}: associative list with keys has an element that omits key field {keys}"
            if name in seen:
                return f"{path}: duplicate entries for key {show((name,))}"
            seen.add(name)
        text = typed_error(item, schema.get("items"), inner)
        if text:
            return text
    return None
