"""Log lines: one JSON object each on stderr, with a time, a level, a greppable `event`, and no secrets."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from reconciler.shell.redaction import REDACTED, is_sensitive_key, redact_text, shorten

LogFormat = Literal["json", "console"]
#: A traceback is kept longer than a message: its end is what matters.
TRACEBACK_LIMIT = 8192
_DEPTH_MAX = 6
#: Libraries that would print requests, bodies or tokens when asked to be talkative.
_QUIET_LIBRARIES = ("urllib3", "kubernetes", "client", "asyncio", "alembic", "apscheduler")

_Line = MutableMapping[str, Any]


def configure_logging(log_format: LogFormat = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging, once per process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        # Never with local variables: they hold whatever the code held.
        structlog.processors.format_exc_info,
        redact_line,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=False, timestamp_key="ts")
        if log_format == "console"
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=_text)
    )
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _order, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(number)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def redact_line(_logger: Any, _method: str, line: _Line) -> _Line:
    """Take secrets out of a log line: values under telling keys, and anything that looks like one elsewhere."""
    for key, value in line.items():
        if key.startswith("_"):
            # structlog's own: the record of the standard library, removed before rendering.
            continue
        if key == "exception" and isinstance(value, str):
            line[key] = redact_text(value[-TRACEBACK_LIMIT:], TRACEBACK_LIMIT)
        else:
            line[key] = _clean(key, value, 0)
    return line


def _clean(key: str, value: Any, depth: int) -> Any:
    if is_sensitive_key(key) and not isinstance(value, bool | int | None):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if depth >= _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): _clean(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(_text(value))


def _text(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray) else shorten(str(value))


def _order(_logger: Any, _method: str, line: _Line) -> _Line:
    """`ts`, `level`, `event`, `platform` first: a line can be read without a tool."""
    first = {key: line[key] for key in ("ts", "level", "event", "platform") if key in line}
    return {**first, **{key: value for key, value in line.items() if key not in first}}
