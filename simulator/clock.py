"""Time that nobody waits for: it goes on when the scheduler says so."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_MICROSECONDS = 1_000_000


class VirtualClock:
    """Whole microseconds since the beginning of a run; wall clock and monotonic clock in one."""

    def __init__(self) -> None:
        self.microseconds = 0

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return START + timedelta(microseconds=self.microseconds)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self.microseconds / _MICROSECONDS

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.microseconds += round(seconds * _MICROSECONDS)

    def advance_to(self, monotonic: float) -> None:
        """Let time pass until then; nothing if that is over."""
        self.microseconds = max(self.microseconds, int(monotonic * _MICROSECONDS))
        # Rounded up: what is due at that time must be due afterwards.
        while self.monotonic() < monotonic:
            self.microseconds += 1

    def wall(self, monotonic: float) -> datetime:
        """A monotonic time as a wall clock time."""
        return START + timedelta(seconds=monotonic)

    def at(self, moment: datetime) -> float:
        """A wall clock time as a monotonic one."""
        return (moment - START) / timedelta(seconds=1)


class WallClock:
    """The clocks of one machine: its wall clock may be wrong, and may be set."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.wrong_by_seconds = 0.0

    def now(self) -> datetime:
        """The wall clock of this machine, UTC."""
        return self._clock.now() + timedelta(seconds=self.wrong_by_seconds)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._clock.monotonic()
