"""The folded states the loop works on: read once, then kept, because only this process appends to them.

If another process did append, the log refuses our next append with a conflict, and the state is read again.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from eventstore.envelope import GENESIS_HASH, NewEvent, StateRecord
from eventstore.errors import StaleEpochError, StoreError, StreamConflictError
from eventstore.log import EventLog
from projections.platform import fold, initial
from projections.state import FOLD_VERSION, PlatformState
from reconciler.core.deadlines import next_due

_encode_state = msgspec.json.Encoder(order="deterministic").encode
_decode_state = msgspec.json.Decoder(PlatformState).decode


class Known(msgspec.Struct, frozen=True):
    """A state and the hash of the event it ends with."""

    state: PlatformState
    head_hash: bytes


class AppendObserver(Protocol):
    """What is counted of appends."""

    def appended(self, seconds: float, events: int) -> None:
        """So many events were appended in one transaction."""
        ...

    def append_failed(self, reason: str) -> None:
        """An append failed: `conflict`, `stale_epoch`, `unavailable`."""
        ...


class States:
    """Loads, keeps and appends to platform states. Thread-safe per stream: one stream has one worker at a time."""

    def __init__(self, log: EventLog, observer: AppendObserver, monotonic: Callable[[], float]) -> None:
        self._log, self._observer, self._monotonic = log, observer, monotonic
        self._known: dict[str, Known] = {}
        self._lock = threading.Lock()

    def load(self, stream_id: str) -> Known:
        """The newest known state of a stream; the initial one if the log has none.

        Raises:
            UnknownEventError, CorruptEventError: this build cannot read the stream.
            StoreUnavailableError: the log cannot be reached.
        """
        with self._lock:
            known = self._known.get(stream_id)
        if known is None:
            known = self._read(stream_id)
            self._remember(stream_id, known)
        return known

    def forget(self, stream_id: str) -> None:
        """Read the stream again next time: somebody else appended, or the append's fate is unknown."""
        with self._lock:
            self._known.pop(stream_id, None)

    def append(
        self,
        before: Known,
        after: PlatformState,
        events: Sequence[NewEvent],
        *,
        now: datetime,
        epoch: int,
        contents: dict[str, bytes],
    ) -> Known:
        """Append the events that lead from one state to the other, with the new state, in one transaction.

        Raises:
            StreamConflictError, StaleEpochError, StoreUnavailableError: nothing was appended, as far as is known.
        """
        stream_id = after.stream_id
        began = self._monotonic()
        try:
            result = self._log.append(
                stream_id,
                before.state.version,
                list(events),
                epoch=epoch,
                state=state_record(after, now),
                contents=contents,
            )
        except BaseException as error:
            self.forget(stream_id)
            if isinstance(error, StoreError):
                self._observer.append_failed(_failure(error))
            raise
        self._observer.appended(self._monotonic() - began, len(events))
        known = Known(after, result.head_hash)
        self._remember(stream_id, known)
        return known

    def _read(self, stream_id: str) -> Known:
        stored = self._log.load_state(stream_id)
        # A state that is not of the newest event was not stored with it: another program appended, or a hand.
        newest = stored is not None and stored.version == self._log.stream_head(stream_id)[0]
        if stored is not None and newest and stored.record.fold_version == FOLD_VERSION:
            return Known(_decode_state(stored.record.state), stored.head_hash)
        recorded = self._log.read_stream(stream_id)
        head = recorded[-1].hash if recorded else GENESIS_HASH
        return Known(fold(initial(stream_id), recorded), head)

    def _remember(self, stream_id: str, known: Known) -> None:
        with self._lock:
            before = self._known.get(stream_id)
            if known.state.closed:
                self._known.pop(stream_id, None)
            elif before is None or before.state.version <= known.state.version:
                # Somebody who only reads may come late with what he read before the last append.
                self._known[stream_id] = known


def _failure(error: StoreError) -> str:
    if isinstance(error, StreamConflictError):
        return "conflict"
    return "stale_epoch" if isinstance(error, StaleEpochError) else "unavailable"


def state_record(state: PlatformState, now: datetime) -> StateRecord:
    """The projection row of a state."""
    return StateRecord(
        state=_encode_state(state),
        fold_version=FOLD_VERSION,
        namespace=state.namespace,
        name=state.name,
        phase=state.phase.value if state.phase else "",
        due_at=next_due(state, now),
        closed=state.closed,
    )
