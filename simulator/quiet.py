"""Simulations say what they have to say themselves: the operator's own log lines are dropped, or kept apart."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from reconciler.shell.logs import redact_line


@contextmanager
def silent_logs() -> Iterator[None]:
    """No log lines in the block."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def kept_logs(lines: list[str]) -> Iterator[None]:
    """Each log line of the block goes to `lines`, debug ones too, as the operator would have written it."""

    def keep(_logger: Any, _method: str, line: Any) -> Any:
        lines.append(str(line))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            redact_line,
            keep,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
