"""The exported bundle in memory: what other commands need to know about some streams, exactly as a ledger held it.

`audit.bundle_file` is its form as a file.
"""

from datetime import datetime

import msgspec

from eventstore.envelope import GENESIS_HASH, RecordedEvent, StateRecord, StoredState

KIND = "StackledgerBundle"
FORMAT_VERSION = 1


class StreamHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the exporting ledger held about a stream besides its events."""

    stream_id: str
    namespace: str
    name: str
    head_version: int
    #: Hex.
    head_hash: str
    state: "StoredProjection | None" = None


class StoredProjection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The stored projection as it was at the export."""

    version: int
    head_hash: str
    state: str
    fold_version: str
    phase: str
    due_at: datetime | None
    closed: bool


class BundleHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """First line of a bundle."""

    kind: str = KIND
    format_version: int = FORMAT_VERSION
    exported_at: datetime
    #: Version of the program that wrote it.
    operator_version: str
    #: Revision of the ledger's database schema; "" if unknown.
    schema_revision: str = ""
    fold_version: str
    streams: tuple[StreamHeader, ...]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle in memory; a `ReadableLog` like a live ledger."""

    header: BundleHeader
    events: dict[str, list[RecordedEvent]]
    contents: dict[str, bytes]
    #: In words: the file is not what was written; "" if it is.
    damage: str = ""

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """Events of one stream in the order of the file."""
        found = [event for event in self.events.get(stream_id, []) if event.version > after_version]
        return found if limit is None else found[:limit]

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """One page of all events in position order."""
        every = (event for stream in self.events.values() for event in stream if event.position > after_position)
        return sorted(every, key=lambda event: event.position)[:limit]

    def head_position(self) -> int:
        """Position of the newest event, 0 for none."""
        return max((event.position for stream in self.events.values() for event in stream), default=0)

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """The head as the exporting ledger's head table had it."""
        for stream in self.header.streams:
            if stream.stream_id == stream_id:
                return stream.head_version, bytes.fromhex(stream.head_hash)
        return 0, GENESIS_HASH

    def stream_ids(self) -> list[str]:
        """All streams, by the position of their first event."""
        return [stream.stream_id for stream in self.header.streams]

    def load_state(self, stream_id: str) -> StoredState | None:
        """The stored projection at the time of the export."""
        return next((state for state in self.list_states(include_closed=True) if state.stream_id == stream_id), None)

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """The stored projections at the time of the export."""
        states = [_stored_state(stream) for stream in self.header.streams]
        return [state for state in states if state is not None and (include_closed or not state.record.closed)]

    def get_content(self, digest: str) -> bytes | None:
        """A document the events refer to."""
        return self.contents.get(digest)

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:  # noqa: ARG002  # the port's names
        """A file does not grow."""
        return False

    def close(self) -> None:
        """Nothing is held open."""


def stream_header(
    stream_id: str, name: tuple[str, str], head: tuple[int, bytes], stored: StoredState | None
) -> StreamHeader:
    """The header's entry for one stream; `name` is (namespace, name)."""
    projection = None
    if stored is not None:
        record = stored.record
        projection = StoredProjection(
            version=stored.version,
            head_hash=stored.head_hash.hex(),
            state=record.state.decode("utf-8", "surrogateescape"),
            fold_version=record.fold_version,
            phase=record.phase,
            due_at=record.due_at,
            closed=record.closed,
        )
    return StreamHeader(
        stream_id=stream_id,
        namespace=name[0],
        name=name[1],
        head_version=head[0],
        head_hash=head[1].hex(),
        state=projection,
    )


def _stored_state(stream: StreamHeader) -> StoredState | None:
    if stream.state is None:
        return None
    projection = stream.state
    record = StateRecord(
        state=projection.state.encode(),
        fold_version=projection.fold_version,
        namespace=stream.namespace,
        name=stream.name,
        phase=projection.phase,
        due_at=projection.due_at,
        closed=projection.closed,
    )
    return StoredState(
        stream_id=stream.stream_id,
        version=projection.version,
        head_hash=bytes.fromhex(projection.head_hash),
        record=record,
    )
