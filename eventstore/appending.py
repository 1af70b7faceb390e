"""What every log does with an append, whatever it is stored in: judge it, then seal its events into the chain. Pure."""

from datetime import UTC, datetime

import msgspec

from eventstore.envelope import AppendResult, NewEvent, RecordedEvent, StateRecord
from eventstore.errors import EventIdTakenError, StaleEpochError, StoreError, StreamConflictError
from eventstore.hashing import event_hash

#: What came of one append of a batch: its place in the log, or why it was not written.
Outcome = AppendResult | StoreError


class Append(msgspec.Struct, frozen=True):
    """The arguments of `EventLog.append`, as they wait to be committed."""

    stream_id: str
    expected_version: int
    events: list[NewEvent]
    epoch: int
    state: StateRecord | None = None
    contents: dict[str, bytes] = {}


def stale_epoch_error(epoch: int, current_epoch: int) -> StaleEpochError:
    """The refusal of an append whose lease epoch is over."""
    return StaleEpochError(f"epoch {epoch} is over, the lease is at epoch {current_epoch}: stop acting")


def judge(append: Append, *, head_version: int, current_epoch: int, known: list[RecordedEvent]) -> Outcome | None:
    """None if the append may be written; otherwise its outcome.

    Args:
        append: what is asked for.
        head_version: version of the stream's last event.
        current_epoch: newest lease epoch ever granted, 0 if none was.
        known: events in the log that have one of the append's ids.
    """
    if known:
        # Asked before the epoch: what was committed stays committed, whoever holds the lease now.
        return _first_result(append, known) or _conflict(append, head_version) or EventIdTakenError()
    if append.epoch < current_epoch:
        return stale_epoch_error(append.epoch, current_epoch)
    return _conflict(append, head_version)


def seal(
    append: Append, *, last_position: int, prev_hash: bytes, recorded_at: datetime
) -> tuple[list[RecordedEvent], AppendResult]:
    """The append's events with their place and hashes, following on `last_position` and `prev_hash`."""
    sealed: list[RecordedEvent] = []
    for offset, event in enumerate(append.events, 1):
        recorded = RecordedEvent(
            position=last_position + offset,
            stream_id=append.stream_id,
            version=append.expected_version + offset,
            event_id=event.event_id,
            type=event.type,
            schema_version=event.schema_version,
            payload=event.payload,
            occurred_at=event.occurred_at.astimezone(UTC),
            recorded_at=recorded_at,
            causation_id=event.causation_id,
            correlation_id=event.correlation_id,
            actor=event.actor,
            epoch=append.epoch,
            prev_hash=prev_hash,
            hash=b"",
        )
        prev_hash = event_hash(recorded, prev_hash)
        sealed.append(msgspec.structs.replace(recorded, hash=prev_hash))
    return sealed, result_of(sealed)


def result_of(events: list[RecordedEvent]) -> AppendResult:
    """The result of the append that wrote these events."""
    last = events[-1]
    return AppendResult(
        first_version=events[0].version,
        last_version=last.version,
        last_position=last.position,
        head_hash=last.hash,
        recorded_at=last.recorded_at,
    )


def _conflict(append: Append, head_version: int) -> StreamConflictError | None:
    if append.expected_version == head_version:
        return None
    return StreamConflictError(append.stream_id, append.expected_version, head_version)


def _first_result(append: Append, known: list[RecordedEvent]) -> AppendResult | None:
    """The result of the first try, if `known` is exactly what it wrote."""
    by_version = sorted(known, key=lambda event: event.version)
    wanted = [(append.stream_id, append.expected_version + n, new.event_id) for n, new in enumerate(append.events, 1)]
    found = [(event.stream_id, event.version, event.event_id) for event in by_version]
    return result_of(by_version) if found == wanted else None
