"""What surrounds an event in the log: its place, its origin, and the hashes that prove it was not altered."""

from datetime import datetime
from uuid import UUID

import msgspec

#: `prev_hash` of the first event of every stream.
GENESIS_HASH = bytes(32)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event on its way into the log; the log adds position, version, `recorded_at` and the hashes.

    `payload` is canonical JSON (UTF-8, sorted keys, no white space) and is stored and hashed byte for byte.
    """

    #: UUIDv7. Appending the same ids again is answered with the first result, not with a second copy.
    event_id: UUID
    type: str
    schema_version: int
    payload: bytes
    #: The clock the decision saw (`now` of the pass), UTC. Replay hands it to `decide` again.
    occurred_at: datetime
    #: Event that led to this one; None for an observation.
    causation_id: UUID | None
    #: One per reconcile pass: all events of a pass share it.
    correlation_id: UUID
    #: Who: `stackledger/epoch-4` or the field manager of the observed change.
    actor: str


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the log holds it. Logs make it from a row, by position: the order of the fields is theirs."""

    #: Global order, strictly increasing, never visible out of order; not necessarily gap-free.
    position: int
    stream_id: str
    #: 1..n within the stream, no gaps.
    version: int
    event_id: UUID
    type: str
    schema_version: int
    payload: bytes
    occurred_at: datetime
    #: Clock of the log, UTC, microseconds; never goes back within the log.
    recorded_at: datetime
    causation_id: UUID | None
    correlation_id: UUID
    actor: str
    #: Lease epoch under which it was appended.
    epoch: int
    prev_hash: bytes
    hash: bytes


class StateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a stream, written in the append's own transaction: the projection the reconciler reads."""

    #: JSON of the folded state; opaque to the log.
    state: bytes
    #: Changes when the fold changes; a row with another value is refolded from the events.
    fold_version: str
    namespace: str
    name: str
    phase: str
    #: Earliest instant at which the platform has something to do without any change in the cluster.
    due_at: datetime | None
    #: True once the finalizer is released: nothing more will happen in this stream.
    closed: bool


class StoredState(msgspec.Struct, frozen=True, kw_only=True):
    """A `StateRecord` with the place in the log it stands for."""

    stream_id: str
    version: int
    head_hash: bytes
    record: StateRecord


class AppendResult(msgspec.Struct, frozen=True):
    """Where an append landed."""

    first_version: int
    last_version: int
    last_position: int
    head_hash: bytes
    recorded_at: datetime
