"""Waiting for appends: a signal within the process, and a slow poll that also sees those of other processes."""

import threading
import time
from collections.abc import Callable

#: How late an append of another process may be noticed.
POLL_SECONDS = 0.25


class AppendSignal:
    """Tells waiting threads that this process appended something."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._position = 0
        self._closed = False

    def announce(self, position: int) -> None:
        """Something was appended up to this position."""
        with self._condition:
            self._position = max(self._position, position)
            self._condition.notify_all()

    def close(self) -> None:
        """Wake everybody for good."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait(self, head_position: Callable[[], int], after_position: int, timeout_seconds: float) -> bool:
        """Sleep until the log has something after the position, the time is over or the log is closed.

        `head_position` asks the log itself: that is the truth, the signal only shortens the wait.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._closed:
            if self._position > after_position or head_position() > after_position:
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            with self._condition:
                self._condition.wait_for(
                    lambda: self._closed or self._position > after_position, min(remaining, POLL_SECONDS)
                )
        return self._position > after_position
