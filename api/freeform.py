"""YAML text that stands inside a spec (scrape configs, an Alertmanager configuration), read as plain JSON values."""

import re
from typing import Any

import yaml

#: No free-form text may be longer than this (characters).
TEXT_LENGTH_MAX = 262_144
_DEPTH_MAX = 60
_MARKER = "# not recorded: not valid YAML at line {line}, column {column}"
_MARKER_PATTERN = re.compile(r"# not recorded: not valid YAML at line ([0-9]+), column ([0-9]+)")


class FreeTextError(ValueError):
    """The text is not valid YAML. The message gives the place, never the content."""

    def __init__(self, line: int, column: int, problem: str = "not valid YAML") -> None:
        self.line, self.column = line, column
        super().__init__(f"{problem} at line {line}, column {column}")


class _JsonLoader(yaml.SafeLoader):
    """SafeLoader without what JSON cannot hold: dates stay text, aliases are refused (they can explode)."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refusal("YAML aliases are not accepted (write the part out)")
        if self.depth >= _DEPTH_MAX:
            raise self._refusal("nested too deeply")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refusal(self, problem: str) -> FreeTextError:
        # `mark` and `line` are set by PyYAML's Reader.
        return FreeTextError(self.line + 1, self.column + 1, problem)


# The implicit resolvers are a class attribute shared with SafeLoader: copy, then leave out the timestamps.
_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml_text(text: str) -> Any:
    """The value of one YAML document, with text keys throughout.

    Raises:
        FreeTextError: with line and column, counted from 1.
    """
    unrecorded = _MARKER_PATTERN.fullmatch(text)
    if unrecorded:
        raise FreeTextError(int(unrecorded[1]), int(unrecorded[2]))
    if len(text) > TEXT_LENGTH_MAX:
        raise FreeTextError(1, 1, f"longer than {TEXT_LENGTH_MAX} characters")
    try:
        return _json_value(yaml.load(text, Loader=_JsonLoader))  # noqa: S506 - a SafeLoader, made stricter
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


def unrecorded_text(error: FreeTextError) -> str:
    """What is recorded in place of a text that could not be read, and so could not be searched for secrets."""
    return _MARKER.format(line=error.line, column=error.column)


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {_json_key(key): _json_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    # !!binary, !!set and the like: nothing of ours reads them.
    raise FreeTextError(1, 1, "a YAML type that JSON does not have")


def _json_key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(key)
