"""What the checkers know: the ledger folded once more, apart from the operator's own folding."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from audit.requests import RequestLedger
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import CorruptEventError, UnknownEventError
from eventstore.events import Event
from projections.platform import evolve, initial
from projections.state import PlatformState
from simulator.universe import Universe


class InvariantError(BaseException):
    """An invariant does not hold. No `except Exception` of the operator can swallow it."""

    def __init__(self, checker: str, message: str) -> None:
        super().__init__(f"{checker}: {message}")
        self.checker, self.message = checker, message


class Stream:
    """One stream, event by event."""

    def __init__(self, stream_id: str) -> None:
        self.state: PlatformState = initial(stream_id)
        self.recorded: list[RecordedEvent] = []
        self.requests = RequestLedger()
        #: What the ledger of requests found wrong.
        self.request_faults: list[str] = []


class Appended(msgspec.Struct, frozen=True):
    """An event that has come into the log, with the state before and after it."""

    replica: str
    recorded: RecordedEvent
    event: Event
    before: PlatformState
    after: PlatformState


class Facts:
    """The ledger as it is, read apart from the operator."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.streams: dict[str, Stream] = {}
        #: Streams with an event that this build does not know.
        self.unreadable: set[str] = set()
        #: What the operator logged, as far as anybody keeps it.
        self.log_lines: list[str] = []
        self._position = 0

    def now(self) -> datetime:
        """The wall clock."""
        return self.universe.clock.now()

    def news(self, replica: str) -> Iterator[Appended]:
        """Take in what was appended since the last time."""
        for recorded in self.universe.log.read_all(self._position):
            self._position = recorded.position
            stream = self.streams.setdefault(recorded.stream_id, Stream(recorded.stream_id))
            try:
                event = decode(recorded)
            except (UnknownEventError, CorruptEventError):
                self.unreadable.add(recorded.stream_id)
                continue
            before = stream.state
            stream.state = evolve(before, event, recorded.occurred_at)
            stream.recorded.append(recorded)
            stream.request_faults += stream.requests.record(recorded.version, event)
            yield Appended(replica, recorded, event, before, stream.state)

    def state_of(self, stream_id: str) -> PlatformState | None:
        """The folded state of a stream; None if the log has none."""
        stream = self.streams.get(stream_id)
        return stream.state if stream else None

    def epoch(self) -> int:
        """Newest epoch of the lease."""
        current = self.universe.log.lease.current()
        return current.epoch if current else 0
