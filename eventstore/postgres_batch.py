"""A batch of appends as the arguments of the SQL function `ledger_append`, and its answer as outcomes. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from eventstore.appending import Append, Outcome, stale_epoch_error
from eventstore.envelope import AppendResult
from eventstore.errors import EventIdTakenError, StreamConflictError
from eventstore.instants import to_microseconds

# Binary parameters (%b): arrays of documents in text form take eight times as long.
APPEND = "SELECT * FROM ledger_append(%b, %b, %b, %b, %b, %b, %b)"
# The same for a lone event: scalars are dumped at a third of the cost of seven arrays.
APPEND_ONE = (
    "SELECT * FROM ledger_append(ARRAY[%b::text], ARRAY[%b, %b, 1]::bigint[], ARRAY[%b::uuid],"
    " ARRAY[%b::uuid, %b::uuid], ARRAY[%b::text, %b::text], ARRAY[%b, %b]::bigint[], ARRAY[%b::bytea])"
)
APPEND_WITH_DOCUMENTS = (
    "SELECT * FROM ledger_append(%b, %b, %b, %b, %b, %b, %b,"
    " %b::bytea[], %b::text[], %b::bigint[], %b::boolean[], %b::bigint[], %b::text[], %b::bytea[])"
)

_WRITTEN, _WRITTEN_BEFORE, _CONFLICT, _STALE, _ID_TAKEN = range(5)


def statement_of(batch: list[Append]) -> tuple[str, list[Any]]:
    """The statement that writes the batch, and its arguments."""
    first = batch[0]
    if len(batch) == len(first.events) == 1 and first.state is None and not first.contents:
        return APPEND_ONE, _scalars(first)
    streams: list[str] = []
    append_numbers: list[int] = []
    ids: list[UUID] = []
    links: list[UUID | None] = []
    texts: list[str] = []
    numbers: list[int] = []
    payloads: list[bytes] = []
    with_documents = False
    for append in batch:
        streams.append(append.stream_id)
        append_numbers += (append.expected_version, append.epoch, len(append.events))
        with_documents = with_documents or append.state is not None or bool(append.contents)
        for event in append.events:
            ids.append(event.event_id)
            links += (event.causation_id, event.correlation_id)
            texts += (event.type, event.actor)
            numbers += (event.schema_version, to_microseconds(event.occurred_at))
            payloads.append(event.payload)
    arguments: list[Any] = [streams, append_numbers, ids, links, texts, numbers, payloads]
    if not with_documents:
        return APPEND, arguments
    return APPEND_WITH_DOCUMENTS, arguments + _documents(batch)


def _scalars(append: Append) -> list[Any]:
    (event,) = append.events
    return [
        append.stream_id,
        append.expected_version,
        append.epoch,
        event.event_id,
        event.causation_id,
        event.correlation_id,
        event.type,
        event.actor,
        event.schema_version,
        to_microseconds(event.occurred_at),
        event.payload,
    ]


def _documents(batch: list[Append]) -> list[list[Any]]:
    states: list[bytes | None] = []
    texts: list[str | None] = []
    due: list[int | None] = []
    closed: list[bool | None] = []
    appends: list[int] = []
    digests: list[str] = []
    bodies: list[bytes] = []
    for number, append in enumerate(batch, 1):
        state = append.state
        if state is None:
            states.append(None)
            texts += (None, None, None, None)
            due.append(None)
            closed.append(None)
        else:
            states.append(state.state)
            texts += (state.fold_version, state.namespace, state.name, state.phase)
            due.append(None if state.due_at is None else to_microseconds(state.due_at))
            closed.append(state.closed)
        for digest, body in append.contents.items():
            appends.append(number)
            digests.append(digest)
            bodies.append(body)
    return [states, texts, due, closed, appends, digests, bodies]


def outcome_of(append: Append, row: tuple[Any, ...]) -> Outcome:
    """One row of the function's answer as the outcome of the append it is for."""
    code: int = row[0]
    version: int = row[1]
    position: int = row[2]
    head_hash: bytes = row[3]
    recorded_at: datetime = row[4]
    if code in (_WRITTEN, _WRITTEN_BEFORE):
        return AppendResult(append.expected_version + 1, version, position, head_hash, recorded_at)
    if code == _CONFLICT:
        return StreamConflictError(append.stream_id, append.expected_version, version)
    if code == _STALE:
        return stale_epoch_error(append.epoch, version)
    if code == _ID_TAKEN:
        return EventIdTakenError()
    raise AssertionError(f"ledger_append answered with outcome {code}")
