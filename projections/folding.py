"""One page of the log folded into the rows of one read model. Pure.

An event that cannot be folded stops its own stream in this read model, and nothing else: the streams beside it, and
the same stream in other read models, go on.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Table

from eventstore.envelope import RecordedEvent
from eventstore.errors import StoreError
from eventstore.events import Event
from projections.contract import ReadModel, Row

#: Longest message kept of why an event could not be folded, characters.
POISON_MESSAGE_LENGTH = 500

Decode = Callable[[RecordedEvent], Event]
#: A row is written once per page however often the page changes it.
Rows = dict[Table, dict[tuple[Any, ...], Row]]


class Cursor(msgspec.Struct, frozen=True):
    """Where a read model stands in one stream."""

    #: Stream version of the last event folded in.
    version: int
    memo: Any


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """An event that could not be folded, and why."""

    stream_id: str
    version: int
    position: int
    event_type: str
    #: `UnknownEventError`, `CorruptEventError`, `SequenceGap`, or the name of what the fold raised.
    reason: str
    message: str


class PageFold(msgspec.Struct, frozen=True):
    """What a page comes to."""

    rows: Rows
    #: Stream -> where it stands now; only streams that moved.
    cursors: dict[str, Cursor]
    #: Stream -> the event at which it stopped within this page.
    poisons: dict[str, Poison]
    #: Events folded: neither folded before nor of a stopped stream.
    folded: int


DecodedPage = Sequence[tuple[RecordedEvent, Event | Poison]]


def decode_page(recorded: Iterable[RecordedEvent], decode: Decode) -> DecodedPage:
    """Each event with what it decodes to, or with why it does not."""
    return [(event, _decode_one(event, decode)) for event in recorded]


def fold_page(model: ReadModel, cursors: Mapping[str, Cursor], stopped: Collection[str], page: DecodedPage) -> PageFold:
    """Fold a page whose events are in stream order into `model`.

    Args:
        model: the read model.
        cursors: where it stands in the streams of the page; a stream it has not met yet is absent.
        stopped: streams that were stopped before this page; their events are passed over.
        page: decoded events.
    """
    done = PageFold(rows={}, cursors={}, poisons={}, folded=0)
    folded = 0
    for recorded, event in page:
        stream_id = recorded.stream_id
        if stream_id in stopped or stream_id in done.poisons:
            continue
        was = done.cursors.get(stream_id) or cursors.get(stream_id) or Cursor(0, model.memo_type())
        if recorded.version <= was.version:
            continue
        step = _fold_one(model, was, recorded, event)
        if isinstance(step, Poison):
            done.poisons[stream_id] = step
            continue
        memo, rows = step
        for row in rows:
            done.rows.setdefault(row.table, {})[_key_of(row.table)(row)] = row
        done.cursors[stream_id] = Cursor(recorded.version, memo)
        folded += 1
    return msgspec.structs.replace(done, folded=folded)


def _decode_one(recorded: RecordedEvent, decode: Decode) -> Event | Poison:
    try:
        return decode(recorded)
    except StoreError as error:
        return _poison(recorded, type(error).__name__, str(error))


def _fold_one(
    model: ReadModel, was: Cursor, recorded: RecordedEvent, event: Event | Poison
) -> tuple[Any, Sequence[Row]] | Poison:
    if isinstance(event, Poison):
        return event
    if recorded.version != was.version + 1:
        return _poison(recorded, "SequenceGap", f"version {was.version + 1} of the stream is missing")
    try:
        memo, rows = model.apply(was.memo, recorded, event)
    except Exception as error:  # whatever a fold trips over must stop this stream only
        return _poison(recorded, type(error).__name__, str(error))
    # The codec refuses NUL characters; one that came into the log some other way would stop a whole page on Postgres.
    if b"\\u0000" in recorded.payload and any(_has_nul(row) for row in rows):
        return _poison(recorded, "CorruptEventError", "a text holds a NUL character")
    return memo, rows


def _poison(recorded: RecordedEvent, reason: str, message: str) -> Poison:
    return Poison(
        stream_id=recorded.stream_id,
        version=recorded.version,
        position=recorded.position,
        event_type=recorded.type,
        reason=reason,
        message=message[:POISON_MESSAGE_LENGTH].replace("\0", "\N{REPLACEMENT CHARACTER}"),
    )


def _has_nul(row: Row) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in msgspec.structs.astuple(row))


@cache
def _key_of(table: Table) -> Callable[[Row], tuple[Any, ...]]:
    return attrgetter(*table.primary_key.columns.keys())
