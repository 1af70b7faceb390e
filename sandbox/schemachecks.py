"""What a structural schema forbids: wrong values, doubles in keyed lists, CEL rules that do not hold.

What an update leaves as it was is not held against it, even if the schema has become stricter since.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from sandbox.cel import Absent, CelError, CelUnsupportedError, Present, evaluate
from sandbox.errors import Cause, invalid_value, required, shown, unsupported
from sandbox.fieldset import element_of
from sandbox.remembering import by_content
from sandbox.schemas import INT_OR_STRING, Schema, field_schema, list_keys, list_kind, resolve, traits
from sandbox.structural import right_type, type_name
from sandbox.values import compact, equal, parse_time, quantity

#: The old value where there is none: of a creation, of a list's item without a key.
MISSING = object()
#: Rules that could not be evaluated: rule text -> why. Shown under /sandbox/rules.
unevaluated_rules: dict[str, str] = {}
#: Faults of this kind keep the CEL rules from being looked at.
_BLOCKING = frozenset(
    [
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    ]
)
_LIMITS_OF_OBJECTS = frozenset(["enum", "minProperties", "maxProperties"])
_NOT_CHECKED_TEXT = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_NOT_CHECKED: Cause = ("FieldValueInvalid", f"Invalid value: null: {_NOT_CHECKED_TEXT}", "<nil>")


def custom_causes(
    item: dict[str, Any], before: Any, schema: Schema, subresource: str, found: list[Cause]
) -> list[Cause]:
    """Everything wrong with a custom object, after what was `found` wrong with its metadata."""
    old = before if isinstance(before, dict) else MISSING
    if subresource == "status":
        status, earlier = item.get("status", MISSING), _part(old, "status")
        part = field_schema(schema, "status")
        fine = status is MISSING or is_sound(status, part)
        causes = [] if fine else list(violations(status, part, "status", earlier, name=""))
    else:
        body = {key: value for key, value in item.items() if key != "metadata"}
        rest = {**schema, "required": [name for name in schema.get("required") or [] if name != "metadata"]}
        causes = [] if is_sound(body, schema) else list(violations(body, rest, before=old))
    if not isinstance(before, dict) or not _has_duplicates(_lists_of(before), schema):
        causes += duplicates(item, schema) if _has_duplicates(_lists_of(item), schema) else ()
    if any(cause[0] in _BLOCKING for cause in [*found, *causes]):
        return [*causes, _NOT_CHECKED]
    return [*causes, *rule_violations(item, old, schema)]


def _lists_of(item: dict[str, Any]) -> dict[str, Any]:
    """Of an object, what holds lists in which nothing may stand twice."""
    metadata = {key: part for key, part in item["metadata"].items() if key in ("finalizers", "ownerReferences")}
    return {**item, "metadata": metadata}


@by_content
def _has_duplicates(value: Any, schema: Schema) -> bool:
    return any(True for _ in duplicates(value, schema))


def is_sound(value: Any, schema: Schema | None) -> bool:
    """Whether an object has no `violations`; looked at part by part, for most parts are those of an earlier object."""
    schema = resolve(schema)
    if not isinstance(value, dict) or schema.get("type") != "object" or schema.keys() & _LIMITS_OF_OBJECTS:
        return False
    if any(name not in value for name in schema.get("required") or () if name != "metadata"):
        return False
    schemas = {key: field_schema(schema, key) for key in value}
    return all(found is None or _is_part_sound(value[key], found) for key, found in schemas.items())


@by_content
def _is_part_sound(value: Any, schema: Schema) -> bool:
    return next(violations(value, schema), None) is None


def violations(
    value: Any, schema: Schema | None, path: str = "", before: Any = MISSING, name: str | None = None
) -> Iterator[Cause]:
    """Everything about the value that the schema forbids, but for its CEL rules and doubles in lists.

    `name` is what a message calls the value, where that is not its path.
    """
    schema = resolve(schema)
    if (value is None and schema.get("nullable")) or (before is not MISSING and equal(value, before)):
        return
    name = path if name is None else name
    if not right_type(value, schema):
        yield from _type_violations(value, schema, path, name)
    yield from _value_violations(value, schema, path, name)
    if isinstance(value, dict):
        yield from _object_violations(value, schema, path, before, name)
    elif isinstance(value, list):
        yield from _array_violations(value, schema, path, before, name)


@by_content
def causes_against(value: Any, schema: Schema | None, path: str = "") -> tuple[Cause, ...]:
    """`violations` of a value of its own."""
    return tuple(violations(value, schema, path))


def _type_violations(value: Any, schema: Schema, path: str, name: str) -> Iterator[Cause]:
    expected = "integer,string" if schema.get(INT_OR_STRING) else schema.get("type", "integer")
    found = type_name(value)
    yield (
        "FieldValueTypeInvalid",
        f'Invalid value: "{found}": {name} in body must be of type {expected}: "{found}"',
        path,
    )
    if found == "number" and expected == "integer":
        text = f'Invalid value: "": Checked value must be of type integer (default format) in {name}'
        yield "FieldValueInvalid", text, "<nil>"


def _value_violations(value: Any, schema: Schema, path: str, name: str) -> Iterator[Cause]:
    if isinstance(value, str):
        yield from _string_violations(value, schema, path, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_violations(value, schema, path, name)
    allowed = schema.get("enum")
    if allowed is not None and not any(equal(value, item) for item in allowed):
        yield unsupported(path, value, allowed)


def _string_violations(value: str, schema: Schema, path: str, name: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxLength", len(value)):
        yield "FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes", path
        return
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(path, value, f"{name} in body should be at least {schema['minLength']} chars long")
        return
    pattern = schema.get("pattern")
    if pattern and not re.search(_python_pattern(pattern), value):
        yield invalid_value(path, value, f"{name} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and not _is_instant(value):
        text = f"Invalid value: {shown(value)}: {name} in body must be of type date-time: {shown(value)}"
        yield "FieldValueTypeInvalid", text, path
    if schema.get("format") == "quantity":
        try:
            quantity(value)
        except ValueError:
            text = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            yield invalid_value(path, value, text)


def _is_instant(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text):
        return False
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


@cache
def _python_pattern(pattern: str) -> str:
    """Go's `$` is the end of the text; Python's lets a newline follow."""
    return re.sub(r"(?<!\\)\$", r"\\Z", pattern)


def _number_violations(value: float, schema: Schema, path: str, name: str) -> Iterator[Cause]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield invalid_value(path, value, f"{name} in body should be a multiple of {schema['multipleOf']}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        word = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid_value(path, value, f"{name} in body should be {word} {high}")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        word = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid_value(path, value, f"{name} in body should be {word} {low}")
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield invalid_value(path, value, f"{name} in body should be an int32")


def _object_violations(value: dict[str, Any], schema: Schema, path: str, before: Any, name: str) -> Iterator[Cause]:
    if len(value) < schema.get("minProperties", 0):
        yield invalid_value(
            path, len(value), f"{name} in body should have at least {schema['minProperties']} properties"
        )
    if len(value) > schema.get("maxProperties", len(value)):
        yield "FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema['maxProperties']} items", path
    for key, part in value.items():
        found = field_schema(schema, key)
        if found is not None:
            yield from violations(part, found, _join(path, key), _part(before, key), _join(name, key))
    for key in schema.get("required") or []:
        if key not in value:
            yield required(_join(path, key))


def _array_violations(value: list[Any], schema: Schema, path: str, before: Any, name: str) -> Iterator[Cause]:
    if len(value) < schema.get("minItems", 0):
        yield invalid_value(path, len(value), f"{name} in body should have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield "FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema['maxItems']} items", path
    for at, item in enumerate(value):
        old = _old_item(item, before, schema)
        yield from violations(item, schema.get("items"), f"{path}[{at}]", old, f"{name}[{at}]")


def duplicates(value: Any, schema: Schema | None, path: str = "") -> Iterator[Cause]:
    """Items of keyed lists and sets that are there twice."""
    schema = resolve(schema)
    if not traits(schema).keyed_lists:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            found = field_schema(schema, key) if isinstance(part, (dict, list)) else None
            if found is not None:
                yield from duplicates(part, found, _join(path, key))
    elif isinstance(value, list):
        seen: set[str] = set()
        for at, item in enumerate(value):
            name = element_of(schema, item) if list_kind(schema) != "atomic" else None
            if name is not None and name in seen:
                key = item if name.startswith("v:") else {key: item.get(key) for key in list_keys(schema)}
                yield "FieldValueDuplicate", f"Duplicate value: {compact(key)}", f"{path}[{at}]"
            elif name is not None:
                seen.add(name)
            yield from duplicates(item, schema.get("items"), f"{path}[{at}]")


def rule_violations(value: Any, before: Any, schema: Schema | None, path: str = "") -> Iterator[Cause]:
    """CEL rules (`x-kubernetes-validations`) that do not hold; `before` is `MISSING` on create."""
    schema = resolve(schema)
    if not traits(schema).rules:
        return
    for rule in schema.get("x-kubernetes-validations") or []:
        broken = _broken_rule(rule, value, before, schema, path)
        if broken:
            yield broken
    if isinstance(value, dict):
        for key, part in value.items():
            found = field_schema(schema, key)
            if found is not None and traits(found).rules:
                yield from rule_violations(part, _part(before, key), found, _join(path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from rule_violations(item, _old_item(item, before, schema), schema.get("items"), f"{path}[{at}]")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _part(before: Any, key: str) -> Any:
    return before.get(key, MISSING) if isinstance(before, dict) else MISSING


def _old_item(item: Any, before: Any, schema: Schema) -> Any:
    """Items of associative lists are compared with the old item of the same key; others have no old value."""
    if list_kind(schema) != "map" or not isinstance(before, list):
        return MISSING
    wanted = element_of(schema, item)
    return next((old for old in before if element_of(schema, old) == wanted), MISSING)


def _broken_rule(rule: dict[str, Any], value: Any, before: Any, schema: Schema, path: str) -> Cause | None:
    text = rule["rule"]
    scope: dict[str, Any] = {"self": value}
    if re.search(r"\boldSelf\b", text):
        if before is MISSING and not rule.get("optionalOldSelf"):
            return None
        scope["oldSelf"] = before
        if rule.get("optionalOldSelf"):
            scope["oldSelf"] = Absent() if before is MISSING else Present(before)
    elif before is not MISSING and equal(value, before):
        return None
    field, kind = path or "<nil>", schema.get("type", "object")
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
        said = rule.get("message", "").strip() or text.strip()
        return invalid_value(field, kind, f"{error} evaluating rule: {said}")
    field = _join(path, rule["fieldPath"].lstrip(".")) if rule.get("fieldPath") else field
    return _refusal(rule.get("reason") or "FieldValueInvalid", message, field, kind, value)


def _refusal(reason: str, message: str, field: str, kind: str, value: Any) -> Cause:
    if reason == "FieldValueRequired":
        return reason, f"Required value: {message}", field
    if reason == "FieldValueForbidden":
        return reason, f"Forbidden: {message}", field
    whole = kind in ("object", "array")
    if reason == "FieldValueDuplicate":
        return reason, "Duplicate value" if whole else f"Duplicate value: {shown(value)}", field
    return (
        "FieldValueInvalid",
        f"Invalid value: {message}" if whole else f"Invalid value: {shown(value)}: {message}",
        field,
    )
