"""Evaluation of CEL validation rules: the part of the language, and of Kubernetes' libraries, that CRDs use.

Known: operators, ternary, `in`, has, size, all, exists, exists_one, filter, map, string functions, matches,
conversions, lists (`isSorted`, `sum`, `min`, `max`, `indexOf`), quantities, `isURL`/`url`, optional fields (`?.`,
`orValue`).
Not known: dates, IP and CIDR libraries, `format.named`, authorizer. A rule that uses them raises CelUnsupportedError.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from sandbox.cel_parse import CelSyntaxError, Node, parse
from sandbox.values import equal, quantity


class CelError(ValueError):
    """The rule failed while it was evaluated (a missing key, a type it cannot work on)."""


class CelUnsupportedError(CelError):
    """The rule uses a function that is not known here."""


class Quantity(Decimal):
    """A value made by `quantity()`."""


class Absent:
    """`optional.none()`."""


class Present:
    """`optional.of(value)`."""

    def __init__(self, value: Any) -> None:
        self.value = value


Scope = dict[str, Any]
_ABSENT = Absent()


def evaluate(text: str, scope: Scope) -> Any:
    """The value of an expression with these variables.

    Raises:
        CelError: it cannot be evaluated.
    """
    try:
        return _eval(parse(text), scope)
    except CelSyntaxError as error:
        raise CelUnsupportedError(str(error)) from error
    except CelError:
        raise
    except ValueError as error:
        raise CelError(str(error)) from error
    except (TypeError, KeyError, IndexError, AttributeError, ArithmeticError, re.error) as error:
        raise CelError(f"{type(error).__name__}: {error}") from error


def _eval(node: Node, scope: Scope) -> Any:
    return _NODES[node[0]](node, scope)


def _literal(node: Node, _: Scope) -> Any:
    return node[1]


def _variable(node: Node, scope: Scope) -> Any:
    if node[1] not in scope:
        raise CelError(f"undeclared reference to '{node[1]}'")
    return scope[node[1]]


def _field(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]
    raise CelError(f"no such field '{key}'")


def _unescaped(name: str) -> str:
    """Kubernetes escapes field names that are no CEL names: `__namespace__`, `a__dot__b`."""
    for short, char in (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__")):
        name = name.replace(short, char)
    return name[2:-2] if name.startswith("__") and name.endswith("__") and len(name) > 4 else name


def _select(node: Node, scope: Scope) -> Any:
    value = _eval(node[1], scope)
    name = node[2]
    if isinstance(value, Present | Absent):
        return _optional_step(value, name)
    if isinstance(value, dict) and name not in value:
        name = _unescaped(name)
    return _field(value, name)


def _optional_step(value: Any, key: Any) -> Present | Absent:
    inner = value.value if isinstance(value, Present) else value
    if isinstance(inner, dict) and key in inner:
        return Present(inner[key])
    if isinstance(inner, list) and isinstance(key, int) and 0 <= key < len(inner):
        return Present(inner[key])
    return _ABSENT


def _optional_select(node: Node, scope: Scope) -> Any:
    return _optional_step(_eval(node[1], scope), node[2])


def _optional_index(node: Node, scope: Scope) -> Any:
    return _optional_step(_eval(node[1], scope), _eval(node[2], scope))


def _index(node: Node, scope: Scope) -> Any:
    value, key = _eval(node[1], scope), _eval(node[2], scope)
    if isinstance(value, Present | Absent):
        return _optional_step(value, key)
    if isinstance(value, list):
        if not isinstance(key, int) or not 0 <= key < len(value):
            raise CelError(f"index out of bounds: {key}")
        return value[key]
    return _field(value, key)


def _list(node: Node, scope: Scope) -> Any:
    return [_eval(item, scope) for item in node[1]]


def _map(node: Node, scope: Scope) -> Any:
    return {_eval(key, scope): _eval(value, scope) for key, value in node[1]}


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload: a boolean is expected")
    return value


def _ternary(node: Node, scope: Scope) -> Any:
    return _eval(node[2] if _truth(_eval(node[1], scope)) else node[3], scope)


def _unary(node: Node, scope: Scope) -> Any:
    value = _eval(node[2], scope)
    return not _truth(value) if node[1] == "!" else -value


def _logical(node: Node, scope: Scope, decisive: bool) -> bool:
    """`&&` and `||` hold even if the other side fails, when one side decides."""
    try:
        left = _truth(_eval(node[2], scope))
    except CelUnsupportedError:
        raise
    except (CelError, TypeError) as error:
        if _truth(_eval(node[3], scope)) is decisive:
            return decisive
        raise CelError(str(error)) from error
    return decisive if left is decisive else _truth(_eval(node[3], scope))


def _binary(node: Node, scope: Scope) -> Any:
    operator = node[1]
    if operator in ("&&", "||"):
        return _logical(node, scope, operator == "||")
    left, right = _eval(node[2], scope), _eval(node[3], scope)
    if operator == "==":
        return equal(left, right)
    if operator == "!=":
        return not equal(left, right)
    if operator == "in":
        return any(equal(left, item) for item in right)
    if operator in ("/", "%") and isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if operator == "/" else left - quotient * right
    return _ARITHMETIC[operator](left, right)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _has(argument: Node, scope: Scope) -> bool:
    if argument[0] not in ("select", "index"):
        raise CelError("invalid argument to has() macro")
    value = _eval(argument[1], scope)
    key = argument[2] if argument[0] == "select" else _eval(argument[2], scope)
    return isinstance(value, dict) and (key in value or _unescaped(str(key)) in value)


def _call(node: Node, scope: Scope) -> Any:
    name, arguments = node[1], node[2]
    if name == "has":
        return _has(arguments[0], scope)
    function = _FUNCTIONS.get(name)
    if function is None:
        raise CelUnsupportedError(f"the function {name}() is not known to the sandbox")
    return function(*(_eval(argument, scope) for argument in arguments))


def _method(node: Node, scope: Scope) -> Any:
    target, name, arguments = node[1], node[2], node[3]
    if target == ("name", "optional"):
        return Present(_eval(arguments[0], scope)) if name == "of" else _ABSENT
    value = _eval(target, scope)
    if name in _MACROS and arguments and arguments[0][0] == "name":
        return _MACROS[name](value, arguments, scope)
    function = _METHODS.get(name)
    if function is None:
        raise CelUnsupportedError(f"the function .{name}() is not known to the sandbox")
    return function(value, *(_eval(argument, scope) for argument in arguments))


def _each(value: Any, arguments: list[Node], scope: Scope) -> list[tuple[Any, Scope]]:
    """Items with the scope of each; two-variable macros get the index or key as well."""
    if isinstance(value, Absent | Present):
        raise CelUnsupportedError("macros over optional values are not known to the sandbox")
    names = [argument[1] for argument in arguments[:-1] if argument[0] == "name"]
    if len(names) >= 2:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [(item, {**scope, names[0]: key, names[1]: item}) for key, item in pairs]
    return [(item, {**scope, names[0]: item}) for item in value]


def _all(value: Any, arguments: list[Node], scope: Scope) -> bool:
    return all(_truth(_eval(arguments[-1], inner)) for _, inner in _each(value, arguments, scope))


def _exists(value: Any, arguments: list[Node], scope: Scope) -> bool:
    return any(_truth(_eval(arguments[-1], inner)) for _, inner in _each(value, arguments, scope))


def _exists_one(value: Any, arguments: list[Node], scope: Scope) -> bool:
    return sum(_truth(_eval(arguments[-1], inner)) for _, inner in _each(value, arguments, scope)) == 1


def _filter(value: Any, arguments: list[Node], scope: Scope) -> list[Any]:
    return [item for item, inner in _each(value, arguments, scope) if _truth(_eval(arguments[-1], inner))]


def _map_macro(value: Any, arguments: list[Node], scope: Scope) -> list[Any]:
    scopes = [inner for _, inner in _each(value, [arguments[0], arguments[-1]], scope)]
    if len(arguments) == 3:
        scopes = [inner for inner in scopes if _truth(_eval(arguments[1], inner))]
    return [_eval(arguments[-1], inner) for inner in scopes]


_MACROS: dict[str, Callable[[Any, list[Node], Scope], Any]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _map_macro,
}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_quantity(value: str) -> bool:
    try:
        quantity(value)
    except ValueError:
        return False
    return True


def _quantity(value: str) -> Quantity:
    try:
        return Quantity(quantity(value))
    except ValueError as error:
        raise CelError(f"not a quantity: {value}") from error


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme) or value.startswith("/")


def _double(value: Any) -> float:
    return float(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": len,
    "string": _text,
    "int": int,
    "uint": int,
    "double": _double,
    "bool": lambda value: value if isinstance(value, bool) else {"true": True, "false": False}[value],
    "dyn": lambda value: value,
    "matches": lambda value, pattern: re.search(pattern, value) is not None,
    "quantity": _quantity,
    "isQuantity": _is_quantity,
    "isURL": _is_url,
    "url": urlsplit,
    "type": lambda value: type(value).__name__,
}


def _replace(value: str, old: str, new: str, limit: int = -1) -> str:
    return value.replace(old, new, limit)


def _or_value(value: Any, default: Any) -> Any:
    return value.value if isinstance(value, Present) else default


_METHODS: dict[str, Callable[..., Any]] = {
    "size": len,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda value, part: part in value,
    "matches": lambda value, pattern: re.search(pattern, value) is not None,
    "find": lambda value, pattern: found[0] if (found := re.search(pattern, value)) else "",
    "findAll": lambda value, pattern: [found[0] for found in re.finditer(pattern, value)],
    "split": lambda value, separator, *limit: value.split(separator, *(n - 1 for n in limit)),
    "join": lambda value, separator="": separator.join(value),
    "lowerAscii": str.lower,
    "upperAscii": str.upper,
    "trim": str.strip,
    "replace": _replace,
    "substring": lambda value, start, end=None: value[start:end],
    "charAt": lambda value, at: value[at : at + 1],
    "indexOf": lambda value, part: (
        value.find(part)
        if isinstance(value, str)
        else next((at for at, item in enumerate(value) if equal(item, part)), -1)
    ),
    "lastIndexOf": lambda value, part: value.rfind(part),
    "isSorted": lambda value: all(left <= right for left, right in pairwise(value)),
    "sum": sum,
    "min": min,
    "max": max,
    "orValue": _or_value,
    "hasValue": lambda value: isinstance(value, Present),
    "value": lambda value: value.value,
    "isGreaterThan": lambda value, other: value > other,
    "isLessThan": lambda value, other: value < other,
    "compareTo": lambda value, other: (value > other) - (value < other),
    "asInteger": int,
    "isInteger": lambda value: value == value.to_integral_value(),
    "asApproximateFloat": float,
    "sign": lambda value: (value > 0) - (value < 0),
    "add": lambda value, other: Quantity(value + other),
    "sub": lambda value, other: Quantity(value - other),
    "getScheme": lambda value: value.scheme,
    "getHost": lambda value: value.netloc,
    "getHostname": lambda value: value.hostname or "",
    "getPort": lambda value: str(value.port or ""),
    "getEscapedPath": lambda value: value.path,
}

_NODES: dict[str, Callable[[Node, Scope], Any]] = {
    "literal": _literal,
    "name": _variable,
    "select": _select,
    "index": _index,
    "optional_select": _optional_select,
    "optional_index": _optional_index,
    "list": _list,
    "map": _map,
    "ternary": _ternary,
    "unary": _unary,
    "binary": _binary,
    "call": _call,
    "method": _method,
}
