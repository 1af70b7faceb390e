"""The only place that reads a clock. Everything else is handed `now` or one of these."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the shell asks of time."""

    def now(self) -> datetime:
        """The wall clock, UTC: for what is recorded and shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for every length of time."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """The wall clock, UTC: for what is recorded and shown."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back: for every length of time."""
        return time.monotonic()
