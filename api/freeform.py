"""YAML text that stands inside a spec (scrape configs, an Alertmanager configuration), read as plain JSON values."""

import re
from enum import StrEnum
from typing import Any

import yaml
from pydantic.alias_generators import to_snake

#: No free-form text may be longer than this (characters).
TEXT_LENGTH_MAX = 262_144
_DEPTH_MAX = 60


class YamlProblem(StrEnum):
    """What can be wrong with a text."""

    INVALID = "not valid YAML"
    ALIAS = "a YAML alias, which is not accepted (write the part out)"
    TOO_DEEP = "nested too deeply"
    TOO_LONG = "too long"
    NOT_JSON = "a YAML type that JSON does not have"
    SCALAR = "neither a list nor an object"


#: Start of the text that stands where a value could not be recorded.
UNRECORDED = "# not recorded: "
_MARKER_PATTERN = re.compile(
    re.escape(UNRECORDED)
    + "(?P<problem>"
    + "|".join(re.escape(problem) for problem in YamlProblem)
    + r") at line (?P<line>[0-9]{1,9}), column (?P<column>[0-9]{1,9})"
)


class FreeTextError(ValueError):
    """The text is not usable YAML. The message gives the problem and the place, never the content."""

    def __init__(self, line: int, column: int, problem: YamlProblem = YamlProblem.INVALID) -> None:
        self.line, self.column, self.problem = line, column, problem
        super().__init__(f"{problem} at line {line}, column {column}")


class _JsonLoader(yaml.SafeLoader):
    """SafeLoader without what JSON cannot hold: dates stay text, aliases are refused (they can explode)."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refusal(YamlProblem.ALIAS)
        if self.depth >= _DEPTH_MAX:
            raise self._refusal(YamlProblem.TOO_DEEP)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refusal(self, problem: YamlProblem) -> FreeTextError:
        # `mark` and `line` are set by PyYAML's Reader.
        return FreeTextError(self.line + 1, self.column + 1, problem)


# The implicit resolvers are a class attribute shared with SafeLoader: copy, then leave out the timestamps.
_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml_text(text: str) -> Any:
    """The list or object in a YAML document, with text keys throughout; None for an empty one.

    Raises:
        FreeTextError: with line and column, counted from 1.
    """
    unrecorded = _MARKER_PATTERN.fullmatch(text)
    if unrecorded:
        raise FreeTextError(int(unrecorded["line"]), int(unrecorded["column"]), YamlProblem(unrecorded["problem"]))
    if len(text) > TEXT_LENGTH_MAX:
        raise FreeTextError(1, 1, YamlProblem.TOO_LONG)
    try:
        value = _json_value(yaml.load(text, Loader=_JsonLoader))  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FreeTextError(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        raise FreeTextError(before.count("\n") + 1, error.position - before.rfind("\n")) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, FreeTextError):
            raise
        raise FreeTextError(1, 1) from None
    if value is not None and not isinstance(value, dict | list):
        raise FreeTextError(1, 1, YamlProblem.SCALAR)
    return value


def unrecorded_text(error: FreeTextError) -> str:
    """What is recorded in place of a text that could not be read, and so could not be searched for secrets."""
    return f"{UNRECORDED}{error}"


def is_unrecorded_text(text: str) -> bool:
    """Whether this is the output of `unrecorded_text`."""
    return _MARKER_PATTERN.fullmatch(text) is not None


def snake_keys(value: Any, left_alone: frozenset[str] = frozenset()) -> Any:
    """`groupBy` -> `group_by` at every depth; below a key in `left_alone` stand names of the user's own."""
    if isinstance(value, list | tuple):
        return [snake_keys(entry, left_alone) for entry in value]
    if not isinstance(value, dict):
        return value
    renamed = {}
    for key, entry in value.items():
        name = key if key in left_alone else to_snake(key)
        renamed[name] = entry if name in left_alone else snake_keys(entry, left_alone)
    return renamed


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {_json_key(key): _json_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    # !!binary, !!set and the like: nothing of ours reads them.
    raise FreeTextError(1, 1, YamlProblem.NOT_JSON)


def _json_key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(key)
