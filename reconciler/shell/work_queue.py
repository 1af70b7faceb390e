"""Which platforms to look at next: each at most once at a time, in order of arrival.

A key that is added while it is worked on is worked on again afterwards, never by two workers at once. Adding is cheap
and idempotent, so a thousand changes of one platform are one look.

What is begun goes first: a hundred new platforms at once are finished one after the other, each soon after its pods are
ready, instead of all at the end.
"""

import heapq
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)

#: So long after a crash a key is not worked on again, however often it is added: what made it crash (a server that
#: refuses writes) is likely to be there still, and changes may come by the dozen.
REST_SECONDS = 1.0
#: So often a key that can wait is handed out although others cannot: work that never ends must not keep it out.
PATIENT_EVERY = 128


class QueueObserver(Protocol):
    """What the queue counts, in the words of controller-runtime."""

    def queue_added(self) -> None:
        """A key was added that was not waiting."""
        ...

    def queue_waited(self, seconds: float) -> None:
        """A key was taken after waiting so long."""
        ...

    def queue_worked(self, seconds: float) -> None:
        """A key was worked on for so long."""
        ...

    def queue_retried(self) -> None:
        """A key is to come back after a failure."""
        ...


class NoQueueObserver:
    """Counts nothing."""

    def queue_added(self) -> None:
        """Ignored."""

    def queue_waited(self, seconds: float) -> None:
        """Ignored."""

    def queue_worked(self, seconds: float) -> None:
        """Ignored."""

    def queue_retried(self) -> None:
        """Ignored."""


class WorkQueue(Generic[Key]):
    """A queue for any number of threads. `monotonic` is the only clock; keys wait in order of arrival."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        observer: QueueObserver | None = None,
        *,
        can_wait: Callable[[Key], bool] = lambda _key: False,
        retry_initial_seconds: float = 1.0,
        retry_max_seconds: float = 300.0,
    ) -> None:
        self._monotonic, self._observer = monotonic, observer or NoQueueObserver()
        self._retry_initial_seconds, self._retry_max_seconds = retry_initial_seconds, retry_max_seconds
        self._changed = threading.Condition()
        self._can_wait = can_wait
        #: Waiting keys -> when they came.
        self._waiting: OrderedDict[Key, float] = OrderedDict()
        #: The same, of those that can wait until there are no others.
        self._patient: OrderedDict[Key, float] = OrderedDict()
        self._handed_out = 0
        #: Keys being worked on -> since when.
        self._working: dict[Key, float] = {}
        #: Keys to be worked on again as soon as they are done.
        self._again: set[Key] = set()
        self._delayed: list[tuple[float, int, Key]] = []
        #: The earliest delayed addition of each key; other entries of the heap are stale.
        self._due: dict[Key, float] = {}
        self._order = itertools.count()
        self._failures: dict[Key, int] = {}
        #: Keys that crashed -> until when they rest.
        self._resting: dict[Key, float] = {}
        self._closed = False

    def add(self, key: Key) -> None:
        """Look at the key soon. Nothing if it is waiting already."""
        with self._changed:
            self._add(key)

    def add_after(self, key: Key, delay_seconds: float) -> None:
        """Look at the key after a delay; of several delays the shortest counts."""
        if delay_seconds <= 0:
            self.add(key)
            return
        with self._changed:
            self._add_at(key, self._monotonic() + delay_seconds)

    def retry(self, key: Key, at_least_seconds: float = 0.0) -> float:
        """The work on the key crashed: come back after an exponential delay, which is returned (seconds).

        `at_least_seconds`: a server asked to be left alone for so long; nothing that is added shortens that.
        """
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            delay = min(self._retry_max_seconds, self._retry_initial_seconds * 2.0 ** min(failures, 32))
            self._resting[key] = self._monotonic() + max(min(delay, REST_SECONDS), at_least_seconds)
        delay = max(delay, at_least_seconds)
        self._observer.queue_retried()
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The work on the key went well: its next crash is its first."""
        with self._changed:
            self._failures.pop(key, None)
            self._resting.pop(key, None)

    def get(self, timeout_seconds: float | None = None) -> Key | None:
        """The next key, to be given back with `done`; None if the time is over or the queue is closed."""
        deadline = None if timeout_seconds is None else self._monotonic() + timeout_seconds
        with self._changed:
            while not self._closed:
                now = self._monotonic()
                self._promote(now)
                if self._waiting or self._patient:
                    key, came = self._next_lane().popitem(last=False)
                    self._working[key] = now
                    self._observer.queue_waited(now - came)
                    return key
                if deadline is not None and now >= deadline:
                    return None
                self._changed.wait(self._pause(now, deadline))
        return None

    def done(self, key: Key) -> None:
        """The work on the key is over, however it went."""
        with self._changed:
            self._observer.queue_worked(self._monotonic() - self._working.pop(key))
            if key in self._again:
                self._again.discard(key)
                self._add(key)

    def shut_down(self) -> None:
        """Hand out no more keys; waiting callers of `get` return None. Work in progress may still be `done`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Keys that wait and are due (without those in work)."""
        with self._changed:
            return len(self._waiting) + len(self._patient) + len(self._again)

    def next_due(self) -> float | None:
        """Monotonic time at which the first of the keys comes up that were added for later; None without any."""
        with self._changed:
            return min(self._due.values(), default=None)

    def unfinished_seconds(self) -> float:
        """Sum of how long the keys in work have been."""
        with self._changed:
            now = self._monotonic()
            return sum(now - since for since in self._working.values())

    def longest_running_seconds(self) -> float:
        """How long the oldest work has been going on; 0 without any. A number that only grows is a hung worker."""
        with self._changed:
            return self._monotonic() - min(self._working.values()) if self._working else 0.0

    def _add(self, key: Key) -> None:
        if self._closed or key in self._waiting or key in self._patient or key in self._again:
            return
        now = self._monotonic()
        rests_until = self._resting.get(key, now)
        if key not in self._working and rests_until > now:
            self._add_at(key, rests_until)
            return
        self._observer.queue_added()
        if key in self._working:
            self._again.add(key)
            return
        lane = self._patient if self._can_wait(key) else self._waiting
        lane[key] = now
        self._changed.notify()

    def _next_lane(self) -> OrderedDict[Key, float]:
        self._handed_out += 1
        turn = self._patient and self._handed_out % PATIENT_EVERY == 0
        return self._patient if turn or not self._waiting else self._waiting

    def _add_at(self, key: Key, due: float) -> None:
        if self._closed or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key))
        self._changed.notify()

    def _promote(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key)

    def _pause(self, now: float, deadline: float | None) -> float | None:
        ends = [deadline] if deadline is not None else []
        if self._delayed:
            ends.append(self._delayed[0][0])
        return max(0.0, min(ends) - now) if ends else None
