"""The one place of this package that reads the system's clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The current instant, UTC."""
    return datetime.now(UTC)
