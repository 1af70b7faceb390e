"""The part of JSONPath that printer columns use: `.a.b`, `[0]`, `[*]`, `[?(@.type=="Ready")]`."""

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.?(?:
      (?P<name>[A-Za-z_$][\w\-$]*(?:\\\.[\w\-/]+)*)
    | \[\?\(@(?P<path>(?:\.[\w\-]+)+)\s*(?P<op>==|!=)\s*(?P<quote>["'])(?P<value>.*?)(?P=quote)\)\]
    | \[(?P<index>-?\d+)\]
    | \[(?P<all>\*)\]
    | \[["'](?P<key>[^"']+)["']\]
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[tuple[str, ...], ...]:
    path = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[tuple[str, ...]] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None or found.end() == position:
            return (("name", "\0"),)
        position = found.end()
        if found["name"]:
            steps.append(("name", found["name"].replace("\\.", ".")))
        elif found["key"]:
            steps.append(("name", found["key"]))
        elif found["path"]:
            steps.append(("filter", found["path"], found["op"], found["value"]))
        elif found["index"]:
            steps.append(("index", found["index"]))
        else:
            steps.append(("all",))
    return tuple(steps)


def first(value: Any, path: str) -> Any:
    """The first value a path leads to, or None."""
    values = [value]
    for step in _steps(path):
        values = [found for item in values for found in _take(item, step)]
    return values[0] if values else None


def _take(item: Any, step: tuple[str, ...]) -> list[Any]:
    kind = step[0]
    if kind == "name":
        return [item[step[1]]] if isinstance(item, dict) and step[1] in item else []
    if not isinstance(item, list):
        return []
    if kind == "all":
        return item
    if kind == "index":
        return item[int(step[1]) :][:1]
    path, operator, wanted = step[1:]
    keep = []
    for part in item:
        found = first(part, path)
        if found is not None and (str(found) == wanted) is (operator == "=="):
            keep.append(part)
    return keep
