"""Label and field selectors."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.errors import bad_request
from sandbox.values import Object, dig

Predicate = Callable[[Object], bool]

_TERM = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<missing>[^\s,=!()]+)"
    r"|(?P<key>[^\s,=!()]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[^\s,()]*)"
    r"|\s(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?)\s*(?:,|$)"
)


def everything(_: Object) -> bool:
    """Matches all objects."""
    return True


def label_selector(text: str) -> Predicate:
    """A predicate from `a=b,c!=d,e in (f,g),!h`.

    Raises:
        StatusError: 400, the selector does not parse.
    """
    if not text.strip():
        return everything
    tests: list[Callable[[dict[str, str]], bool]] = []
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None or found.end() == position:
            raise bad_request(f"unable to parse requirement: {text!r} is not a label selector")
        tests.append(_label_test(found))
        position = found.end()
    return lambda item: all(test(dig(item, "metadata", "labels", default={})) for test in tests)


def _label_test(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    if found["absent"]:
        missing = found["missing"]
        return lambda labels: missing not in labels
    key = found["key"]
    if found["set"]:
        values = {part.strip() for part in found["values"].split(",")}
        if found["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found["op"] in ("=", "=="):
        value = found["value"]
        return lambda labels: labels.get(key) == value
    if found["op"] == "!=":
        value = found["value"]
        return lambda labels: labels.get(key) != value
    return lambda labels: key in labels


def field_selector(text: str, selectable: Callable[[str], bool]) -> Predicate:
    """A predicate from `metadata.name=a,status.phase!=b`.

    Raises:
        StatusError: 400, a field that cannot be selected by.
    """
    if not text.strip():
        return everything
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for term in text.split(","):
        found = re.fullmatch(r"\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*", term)
        if found is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {term!r}")
        if not selectable(found[1]):
            raise bad_request(f'field label not supported: "{found[1]}"')
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
