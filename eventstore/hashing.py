"""The hash chain of a stream: every event's hash covers the one before it, so nothing can be altered or left out.

    hash = SHA-256( prev_hash || header || payload )

The header is one line of twelve tokens, none of which can hold a space, then three texts whose lengths (UTF-8
bytes) stand in that line, so that no two different events have the same header:

    stackledger-1 VERSION SCHEMA EPOCH OCCURRED_US RECORDED_US ID CAUSATION|- CORRELATION |STREAM| |TYPE| |ACTOR| |PAYLOAD|
    <newline> STREAM TYPE ACTOR

Instants are whole microseconds since 1970 UTC, ids 32 hex digits. The append function of the Postgres schema computes
the same bytes; a test compares the two. The position is not covered: it is the log's, not the stream's.
"""  # noqa: E501 - the header line is shown as it is

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from eventstore.envelope import GENESIS_HASH, RecordedEvent
from eventstore.instants import to_microseconds


class ChainFault(msgspec.Struct, frozen=True):
    """The first event at which a stream's chain does not hold."""

    stream_id: str
    version: int
    #: In words: what does not fit.
    reason: str


def event_hash(event: RecordedEvent, prev_hash: bytes) -> bytes:
    """What the event's `hash` must be if it follows on `prev_hash`; its own hash fields are not looked at."""
    causation = event.causation_id
    stream, kind, actor = event.stream_id.encode(), event.type.encode(), event.actor.encode()
    line = (
        f"stackledger-1 {event.version} {event.schema_version} {event.epoch} {to_microseconds(event.occurred_at)} "
        f"{to_microseconds(event.recorded_at)} {event.event_id.int:032x} "
        f"{'-' if causation is None else f'{causation.int:032x}'} {event.correlation_id.int:032x} "
        f"{len(stream)} {len(kind)} {len(actor)} {len(event.payload)}\n"
    )
    return sha256(b"".join((prev_hash, line.encode(), stream, kind, actor, event.payload))).digest()


def verify_chain(
    events: Iterable[RecordedEvent], *, prev_hash: bytes = GENESIS_HASH, prev_version: int = 0
) -> ChainFault | None:
    """Check events of ONE stream, in version order, that follow on (`prev_version`, `prev_hash`).

    Returns None if every event is there, in its place and unaltered; otherwise the first that is not. A stream cut off
    at its end looks whole from here: compare the last hash with the head kept elsewhere.
    """
    stream_id = None
    for event in events:
        stream_id = stream_id or event.stream_id
        if event.stream_id != stream_id:
            return ChainFault(stream_id, event.version, f"belongs to another stream, {event.stream_id}")
        if event.version != prev_version + 1:
            return ChainFault(stream_id, prev_version + 1, f"is missing: the next one found is version {event.version}")
        if event.prev_hash != prev_hash:
            return ChainFault(stream_id, event.version, "does not follow on the event before it (prev_hash differs)")
        if event.hash != event_hash(event, prev_hash):
            return ChainFault(stream_id, event.version, "was altered: its hash does not match its content")
        prev_version, prev_hash = event.version, event.hash
    return None
