"""Simulations say what they have to say themselves: the operator's own log lines are dropped meanwhile."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def silent_logs() -> Iterator[None]:
    """No log lines in the block."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
