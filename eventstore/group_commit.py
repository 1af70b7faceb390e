"""Group commit: many threads append, one of them commits for all.

There is no committer thread. The first thread that finds nobody committing becomes the leader: it takes what is
queued, commits it as one batch, hands each follower its outcome, and passes the lead to the next one that waits. A lone
caller thus commits its own append without any hand-over between threads, and while one batch is on its way to the disk
the next one gathers. The followers of a batch are not woken all at once, where they would only fight for the
interpreter: the leader wakes a few, and each of them the next.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator

from eventstore.appending import Append, Outcome
from eventstore.envelope import AppendResult
from eventstore.errors import StoreError, StoreUnavailableError

APPENDS_QUEUED_MAX = 4096
EVENTS_PER_BATCH_MAX = 2000
PAYLOAD_BYTES_PER_BATCH_MAX = 16 << 20
WAIT_SECONDS_MAX = 15.0
#: Followers woken by the leader itself. Fewer are slow when the CPU is busy, more when it is not.
WOKEN_AT_ONCE_MAX = 3


class _Waiting:
    """One append in the queue, and the thread that waits for it."""

    __slots__ = ("append", "asleep", "leads", "outcome", "to_wake", "wake")

    def __init__(self, append: Append) -> None:
        self.append = append
        self.outcome: Outcome | None = None
        self.leads = False
        #: Its thread sleeps, or is about to. False for good once it leaves or leads.
        self.asleep = True
        #: Those of its batch whom nobody has woken yet; shared by the batch, set before the outcome.
        self.to_wake: Iterator[_Waiting] = iter(())
        # A lock is the cheapest thing a thread can sleep on: taken now, released by whoever wakes it.
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit:
    """Gathers the appends of all threads into batches. `commit` is never called by two threads at once.

    Args:
        commit: writes a batch in one transaction and returns one outcome per append, in order. Within a batch all
            streams differ and so do all event ids. What it raises befalls the whole batch.
        wait_seconds_max: how long an append may wait for its batch to be written.
        queue_max: appends that may wait; one more is refused at once.
    """

    def __init__(
        self,
        commit: Callable[[list[Append]], list[Outcome]],
        *,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
        queue_max: int = APPENDS_QUEUED_MAX,
    ) -> None:
        self._commit = commit
        self._wait_seconds_max = wait_seconds_max
        self._queue_max = queue_max
        self._mutex = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._led = False
        self._closed = False
        self._idle = threading.Condition(self._mutex)

    def submit(self, append: Append) -> AppendResult:
        """Write the append as part of some batch and return its result, or raise what came of it."""
        waiting = _Waiting(append)
        with self._mutex:
            if self._closed:
                raise StoreUnavailableError("the event log is closed")
            if len(self._queue) >= self._queue_max:
                raise StoreUnavailableError(f"{self._queue_max} appends are waiting already: nothing was written")
            self._queue.append(waiting)
            waiting.leads = not self._led
            self._led = True
        if not waiting.leads:
            self._follow(waiting)
        if waiting.outcome is None:
            self._lead(waiting)
        outcome = waiting.outcome
        if isinstance(outcome, AppendResult):
            return outcome
        raise outcome or StoreUnavailableError("the append was interrupted")

    def close(self) -> None:
        """Refuse new appends and wait until those that were accepted are done."""
        with self._mutex:
            self._closed = True
            self._idle.wait_for(lambda: not self._led, timeout=self._wait_seconds_max)

    def _follow(self, waiting: _Waiting) -> None:
        """Sleep until the outcome is there or the lead is passed on to this thread."""
        try:
            if waiting.wake.acquire(timeout=self._wait_seconds_max):
                return
        except BaseException:
            self._abandon(waiting)
            raise
        finally:
            waiting.asleep = False
            _wake_next(waiting.to_wake)
        with self._mutex:
            if waiting.leads or waiting.outcome is not None:
                return
            withdrawn = self._withdraw(waiting)
        fate = "nothing was written" if withdrawn else "append again with the same event ids to learn its fate"
        raise StoreUnavailableError(f"the append waited for {self._wait_seconds_max:g} s: {fate}")

    def _abandon(self, waiting: _Waiting) -> None:
        """Its thread was interrupted while asleep; if the lead came to it meanwhile, somebody else must have it."""
        with self._mutex:
            self._withdraw(waiting)
        if waiting.leads:
            self._pass_on()

    def _withdraw(self, waiting: _Waiting) -> bool:
        """Take the append out of the queue; False if it is on its way. Called with the mutex held."""
        try:
            self._queue.remove(waiting)
        except ValueError:
            return False
        return True

    def _lead(self, own: _Waiting) -> None:
        """Commit batches until the own append is done, then pass the lead on."""
        own.asleep = False
        try:
            while own.outcome is None:
                with self._mutex:
                    batch = self._take_batch()
                self._commit_batch(batch)
        finally:
            self._pass_on()

    def _commit_batch(self, batch: list[_Waiting]) -> None:
        outcomes: list[Outcome] = []
        kind: type[StoreError] = StoreUnavailableError
        message = "the commit was interrupted: append again with the same event ids to learn its fate"
        try:
            outcomes = self._commit([waiting.append for waiting in batch])
        except StoreError as error:
            kind, message = type(error), str(error)
        finally:
            # Also when interrupted: the followers must not be left asleep. One exception each: threads share none.
            to_wake = iter(batch)
            for number, waiting in enumerate(batch):
                waiting.to_wake = to_wake
                waiting.outcome = outcomes[number] if outcomes else kind(message)
            for _ in range(WOKEN_AT_ONCE_MAX):
                _wake_next(to_wake)

    def _take_batch(self) -> list[_Waiting]:
        """The longest head of the queue that fits; what collides with it on stream or event id stays queued."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        streams: set[str] = set()
        event_ids: set[object] = set()
        events = size = 0
        while self._queue and events < EVENTS_PER_BATCH_MAX and size < PAYLOAD_BYTES_PER_BATCH_MAX:
            waiting = self._queue.popleft()
            append = waiting.append
            ids = {event.event_id for event in append.events}
            if append.stream_id in streams or not event_ids.isdisjoint(ids):
                left.append(waiting)
                continue
            batch.append(waiting)
            streams.add(append.stream_id)
            event_ids |= ids
            events += len(ids)
            size += sum(len(event.payload) for event in append.events)
        self._queue.extendleft(reversed(left))
        return batch

    def _pass_on(self) -> None:
        """Wake the next one that waits as leader; with nobody waiting, the next caller leads."""
        with self._mutex:
            if self._queue:
                successor = self._queue[0]
                successor.leads = True
                successor.wake.release()
            else:
                self._led = False
                self._idle.notify_all()


def _wake_next(to_wake: Iterator[_Waiting]) -> None:
    """Wake one that sleeps, who wakes the next when it leaves; who has left already is passed over."""
    for waiting in to_wake:
        if waiting.asleep:
            waiting.wake.release()
            return
