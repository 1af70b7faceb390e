"""A small pool of connections for reading, whatever they connect to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from eventstore.errors import StoreUnavailableError

Connection = TypeVar("Connection")


class ConnectionPool(Generic[Connection]):
    """Opens connections when needed, at most `size_max`, and keeps them for the next reader.

    A connection whose user raised is closed, not kept: whatever state it is in, nobody inherits it.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        close: Callable[[Connection], None],
        *,
        size_max: int,
        wait_seconds_max: float,
    ) -> None:
        self._connect, self._close = connect, close
        self._wait_seconds_max = wait_seconds_max
        self._slots = threading.BoundedSemaphore(size_max)
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def connection(self, *, fresh: bool = False) -> Iterator[Connection]:
        """A connection for the caller alone; `fresh` for one that was opened just now."""
        if not self._slots.acquire(timeout=self._wait_seconds_max):
            raise StoreUnavailableError(f"no connection became free within {self._wait_seconds_max:g} s")
        try:
            connection = self._take(fresh)
            try:
                yield connection
            except BaseException:
                self._close(connection)
                raise
            if self._closed:
                self._close(connection)
            else:
                self._idle.append(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        self._closed = True
        self.drop_idle()

    def drop_idle(self) -> None:
        """Close the idle connections: the server they were for is gone."""
        while self._idle:
            try:
                self._close(self._idle.pop())
            except IndexError:
                return

    def _take(self, fresh: bool) -> Connection:
        if self._closed:
            raise StoreUnavailableError("the event log is closed")
        if fresh:
            self.drop_idle()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()
