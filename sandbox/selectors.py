"""Label and field selectors."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.errors import bad_request
from sandbox.values import Object, dig

Predicate = Callable[[Object], bool]
_LabelTest = Callable[[dict[str, str]], bool]

#: A piece of a label selector: a mark, or a run of anything else.
_PIECE = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")
_MARKS = ("=", "==", "!=", "!", ",", "(", ")", "<", ">")
_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")


def everything(_: Object) -> bool:
    """Matches all objects."""
    return True


def label_selector(text: str) -> Predicate:
    """A predicate from `a=b,c!=d,e in (f,g),!h,i>1`.

    Raises:
        StatusError: 400, the selector does not parse.
    """
    if not text.strip():
        return everything
    tests = _Pieces(text).requirements()
    return lambda item: all(test(dig(item, "metadata", "labels", default={})) for test in tests)


class _Pieces:
    """A label selector cut into pieces, and read from the front."""

    def __init__(self, text: str) -> None:
        self._pieces = _PIECE.findall(text)
        self._at = 0

    def _next(self) -> str:
        piece = self._peek()
        self._at += 1
        return piece

    def _peek(self) -> str:
        return str(self._pieces[self._at]) if self._at < len(self._pieces) else ""

    def requirements(self) -> list[_LabelTest]:
        """All of them, which an object must meet together."""
        if self._peek() in _MARKS and self._peek() != "!":
            raise bad_request(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
        found = [self._requirement()]
        while (mark := self._next()) == ",":
            if self._peek() in _MARKS and self._peek() != "!":
                raise bad_request(f"found '{self._peek()}', expected: identifier after ','")
            found.append(self._requirement())
        if mark:
            raise bad_request(f"found '{mark}', expected: ',' or 'end of string'")
        return found

    def _requirement(self) -> _LabelTest:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._identifier()
        if absent:
            return lambda labels: key not in labels
        if self._peek() in ("", ","):
            return lambda labels: key in labels
        operator = self._next()
        if operator in ("in", "notin"):
            values = self._values()
            if operator == "in":
                return lambda labels: labels.get(key) in values
            return lambda labels: labels.get(key) not in values
        if operator not in ("=", "==", "!=", "<", ">"):
            raise _unparsed(f"found '{operator}', expected: {', '.join(_OPERATORS)}")
        value = "" if self._peek() in ("", ",") else self._identifier()
        return _compared(key, operator, value)

    def _identifier(self) -> str:
        piece = self._next()
        if not piece or piece in _MARKS:
            raise _unparsed(f"found '{piece}', expected: identifier")
        return piece

    def _values(self) -> set[str]:
        opening = self._next()
        if opening != "(":
            raise _unparsed(f"found '{opening}' expected: '('")
        values, last = set(), ""
        while (piece := self._next()) != ")":
            if piece == "," and last in ("", ","):
                values.add("")
            elif piece in _MARKS and piece != ",":
                raise _unparsed(f"found '{piece}', expected: ',', or identifier")
            elif not piece or (last not in ("", ",") and piece != ","):
                raise _unparsed(f"found '{piece}', expected: ',' or ')'")
            elif piece != ",":
                values.add(piece)
            last = piece
        if last in ("", ","):
            values.add("")
        return values


def _unparsed(text: str) -> Exception:
    return bad_request(f"unable to parse requirement: {text}")


def _compared(key: str, operator: str, value: str) -> _LabelTest:
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if not re.fullmatch(r"-?\d+", value):
        text = f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unparsed(text)
    bound = int(value)

    def holds(labels: dict[str, str]) -> bool:
        found = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", found):
            return False
        return int(found) > bound if operator == ">" else int(found) < bound

    return holds


def field_selector(text: str, selectable: Callable[[str], bool], refusal: Callable[[str], str]) -> Predicate:
    """A predicate from `metadata.name=a,status.phase!=b`; `refusal` words why a field cannot be selected by.

    Raises:
        StatusError: 400, it does not parse, or names such a field.
    """
    if not text.strip():
        return everything
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for term in text.split(","):
        found = re.fullmatch(r"\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*", term)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        if not selectable(found[1]):
            raise bad_request(refusal(found[1]))
        tests.append((tuple(found[1].split(".")), found[2] != "!=", found[3]))
    return lambda item: all((_text(dig(item, *path)) == value) is wanted for path, wanted, value in tests)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def matches_labels(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a `LabelSelector` object (matchLabels, matchExpressions) selects these labels."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for term in selector.get("matchExpressions") or []:
        key, operator, values = term["key"], term["operator"], term.get("values") or []
        present = key in labels
        holds = {
            "In": present and labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }[operator]
        if not holds:
            return False
    return True


def shown_selector(selector: Object) -> str:
    """A `LabelSelector` object as text: `app=web,tier in (a,b)`."""
    words = {"In": "in", "NotIn": "notin"}
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or []:
        key, operator, values = term["key"], term["operator"], ",".join(sorted(term.get("values") or []))
        simple = key if operator == "Exists" else f"!{key}"
        terms.append((key, f"{key} {words[operator]} ({values})" if operator in words else simple))
    return ",".join(text for _, text in sorted(terms))
