"""The event log in memory: complete, durable for nobody. For tests, simulation and what-if questions."""

import threading
from datetime import UTC, datetime, timedelta

import msgspec

from eventstore.appending import Append, judge, seal
from eventstore.clock import Clock, system_clock
from eventstore.envelope import GENESIS_HASH, AppendResult, NewEvent, RecordedEvent, StateRecord, StoredState
from eventstore.errors import StoreError, StoreUnavailableError
from eventstore.lease import Lease, LeaseStore, check_lease_request
from eventstore.limits import check_append
from eventstore.waking import AppendSignal


class InMemoryEventLog:
    """`EventLog` on Python lists, one lock around them."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._signal = AppendSignal()
        self._closed = False
        self._events: list[RecordedEvent] = []
        self._streams: dict[str, list[RecordedEvent]] = {}
        self._by_id: dict[object, RecordedEvent] = {}
        self._states: dict[str, StoredState] = {}
        self._contents: dict[str, bytes] = {}
        self._lease = InMemoryLeaseStore(clock, self._lock)

    @property
    def lease(self) -> LeaseStore:
        """The lease of this log."""
        return self._lease

    def append(
        self,
        stream_id: str,
        expected_version: int,
        events: list[NewEvent],
        *,
        epoch: int,
        state: StateRecord | None = None,
        contents: dict[str, bytes] | None = None,
    ) -> AppendResult:
        """See `EventLog.append`."""
        check_append(stream_id, expected_version, events, epoch, state, contents)
        append = Append(stream_id, expected_version, events, epoch, state, contents or {})
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("the event log is closed")
            outcome = self._commit(append)
        if isinstance(outcome, StoreError):
            raise outcome
        self._signal.announce(outcome.last_position)
        return outcome

    def _commit(self, append: Append) -> AppendResult | StoreError:
        head_version, head_hash = self.stream_head(append.stream_id)
        known = [self._by_id[event.event_id] for event in append.events if event.event_id in self._by_id]
        outcome = judge(append, head_version=head_version, current_epoch=self._lease.epoch, known=known)
        if outcome is not None:
            return outcome
        recorded_at = self._clock().astimezone(UTC)
        if self._events:
            recorded_at = max(recorded_at, self._events[-1].recorded_at)
        sealed, result = seal(append, last_position=self.head_position(), prev_hash=head_hash, recorded_at=recorded_at)
        self._events.extend(sealed)
        self._streams.setdefault(append.stream_id, []).extend(sealed)
        self._by_id.update((event.event_id, event) for event in sealed)
        for digest, body in append.contents.items():
            self._contents.setdefault(digest, body)
        if append.state is not None:
            self._put_state(append.stream_id, result.last_version, result.head_hash, append.state)
        return result

    def _put_state(self, stream_id: str, version: int, head_hash: bytes, record: StateRecord) -> None:
        self._states[stream_id] = StoredState(stream_id=stream_id, version=version, head_hash=head_hash, record=record)

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """See `EventLog.read_stream`."""
        with self._lock:
            stop = None if limit is None else after_version + limit
            return self._streams.get(stream_id, [])[after_version:stop]

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """See `EventLog.read_all`."""
        with self._lock:
            return self._events[after_position : after_position + limit]

    def head_position(self) -> int:
        """See `EventLog.head_position`."""
        return len(self._events)

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """See `EventLog.stream_head`."""
        with self._lock:
            stream = self._streams.get(stream_id)
            return (stream[-1].version, stream[-1].hash) if stream else (0, GENESIS_HASH)

    def stream_ids(self) -> list[str]:
        """See `EventLog.stream_ids`."""
        with self._lock:
            return list(self._streams)

    def load_state(self, stream_id: str) -> StoredState | None:
        """See `EventLog.load_state`."""
        with self._lock:
            return self._states.get(stream_id)

    def store_state(self, stream_id: str, version: int, state: StateRecord) -> bool:
        """See `EventLog.store_state`."""
        with self._lock:
            head_version, head_hash = self.stream_head(stream_id)
            if version < 1 or head_version != version:
                return False
            self._put_state(stream_id, version, head_hash, state)
            return True

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """See `EventLog.list_states`."""
        with self._lock:
            found = [state for state in self._states.values() if include_closed or not state.record.closed]
        return sorted(found, key=lambda state: state.stream_id)

    def due_streams(self, now: datetime, limit: int = 1000) -> list[str]:
        """See `EventLog.due_streams`."""
        due = [
            (state.record.due_at, state.stream_id)
            for state in self.list_states()
            if state.record.due_at is not None and state.record.due_at <= now
        ]
        return [stream_id for _, stream_id in sorted(due)[:limit]]

    def get_content(self, digest: str) -> bytes | None:
        """See `EventLog.get_content`."""
        with self._lock:
            return self._contents.get(digest)

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """See `EventLog.wait_for_append`."""
        return self._signal.wait(self.head_position, after_position, timeout_seconds)

    def close(self) -> None:
        """See `EventLog.close`."""
        with self._lock:
            self._closed = True
        self._signal.close()


class InMemoryLeaseStore:
    """`LeaseStore` for one process."""

    def __init__(self, clock: Clock, lock: threading.RLock) -> None:
        self._clock = clock
        self._lock = lock
        self._current: Lease | None = None

    @property
    def epoch(self) -> int:
        """Newest epoch granted; 0 if none was."""
        return self._current.epoch if self._current else 0

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        """See `LeaseStore.acquire`."""
        check_lease_request(holder, ttl_seconds)
        with self._lock:
            now, current = self._clock(), self._current
            if current and current.holder != holder and current.expires_at > now:
                return None
            expires_at = now + timedelta(seconds=ttl_seconds)
            self._current = Lease(holder=holder, epoch=self.epoch + 1, ttl_seconds=ttl_seconds, expires_at=expires_at)
            return self._current

    def renew(self, lease: Lease) -> Lease | None:
        """See `LeaseStore.renew`."""
        return self._move(lease, lease.ttl_seconds)

    def release(self, lease: Lease) -> None:
        """See `LeaseStore.release`."""
        self._move(lease, 0)

    def current(self) -> Lease | None:
        """See `LeaseStore.current`."""
        return self._current

    def _move(self, lease: Lease, seconds: float) -> Lease | None:
        with self._lock:
            if self.epoch != lease.epoch or self._current is None or self._current.holder != lease.holder:
                return None
            expires_at = self._clock() + timedelta(seconds=seconds)
            self._current = msgspec.structs.replace(self._current, expires_at=expires_at)
            return self._current
