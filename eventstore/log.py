"""The port to the log. Memory, SQLite and Postgres implement it and pass one contract suite."""

from datetime import datetime
from typing import Protocol

from eventstore.envelope import AppendResult, NewEvent, RecordedEvent, StateRecord, StoredState
from eventstore.lease import LeaseStore


class EventLog(Protocol):
    """An append-only log of events in streams, with the folded state of each stream beside it.

    Safe to share between threads. Everything raises StoreUnavailableError when the store cannot be reached.
    """

    @property
    def lease(self) -> LeaseStore:
        """The lease kept in this log's database; its epoch fences appends."""
        ...

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
        """Append all `events` as versions `expected_version + 1 ..` in one transaction, or none.

        Args:
            stream_id: the platform's uid.
            expected_version: version of the last event the caller knows; 0 for a new stream.
            events: 1..1000 events.
            epoch: the caller's lease epoch; an older one than the log's current epoch inserts nothing.
            state: folded state after these events, stored in the same transaction.
            contents: content-addressed documents (`sha256:...` -> bytes) the events refer to; existing ones are kept.

        Appending the same event ids again at the same place returns the first result and writes nothing: after a
        StoreUnavailableError of unknown outcome, append again.

        Raises:
            EventRefusedError: a limit of `eventstore.limits` is broken.
            EventIdTakenError: an event id belongs to another event.
            StreamConflictError: the stream is not at `expected_version`.
            StaleEpochError: another replica holds a newer lease.
            StoreUnavailableError: the store cannot be reached or refuses writes; nothing is known to be written.
        """
        ...

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """Events of one stream in version order."""
        ...

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """One page of the whole log in position order; what it has passed never grows behind it."""
        ...

    def head_position(self) -> int:
        """Position of the newest event, 0 for an empty log."""
        ...

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """(version, hash) of the stream's head as the log's own head table has it; (0, GENESIS_HASH) if unknown."""
        ...

    def stream_ids(self) -> list[str]:
        """All streams, by the position of their first event."""
        ...

    def load_state(self, stream_id: str) -> StoredState | None:
        """The stored projection of one stream."""
        ...

    def store_state(self, stream_id: str, version: int, state: StateRecord) -> bool:
        """Replace the stored projection (a refold under a new fold version), if the stream still is at `version`."""
        ...

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """The stored projections of all streams."""
        ...

    def due_streams(self, now: datetime, limit: int = 1000) -> list[str]:
        """Open streams whose `due_at` is not after `now`, earliest first."""
        ...

    def get_content(self, digest: str) -> bytes | None:
        """A content-addressed document."""
        ...

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """Sleep until something was appended after the position or the time is over: a hint, the poll is the truth."""
        ...

    def close(self) -> None:
        """Finish pending appends and release connections."""
        ...
