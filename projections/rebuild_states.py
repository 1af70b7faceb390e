"""The inline projection, `platform_states`: compare what is stored beside each stream with the fold of the stream."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from eventstore.envelope import RecordedEvent, StateRecord, StoredState
from eventstore.errors import StoreError
from eventstore.log import EventLog
from projections.differences import DIFFERENCES_MAX, Difference
from projections.platform import fold, initial
from projections.rebuild import RebuildReport
from projections.state import FOLD_VERSION, PlatformState

PLATFORM_STATES = "platform_states"
#: How often a stream that moves on meanwhile is folded again before it is left to the append that moved it.
STORE_ATTEMPTS = 5


def rebuild_states(log: EventLog, *, record_of: Callable[[PlatformState], StateRecord] | None = None) -> RebuildReport:
    """Fold every stream and name those whose stored state is another one.

    Args:
        log: the log, with its stored states.
        record_of: how the reconciler makes the record of a state (`due_at` is its business, and not compared). If
            given, what differs is replaced; appends go on meanwhile and are never overwritten.

    Raises:
        StoreUnavailableError: the log cannot be reached.
    """
    started = time.monotonic()
    position = log.head_position()
    differing, differences, rows = 0, list[Difference](), 0
    for stream_id in log.stream_ids():
        found = _compare(log, stream_id)
        rows += 1
        if found is None:
            continue
        differing += 1
        if len(differences) < DIFFERENCES_MAX:
            differences.append(found)
        if record_of is not None and found.kind != "unreadable":
            _replace(log, stream_id, record_of)
    return RebuildReport(
        projection=PLATFORM_STATES,
        position=position,
        rows=rows,
        differing=differing,
        differences=differences,
        identical=differing == 0,
        applied=record_of is not None,
        seconds=time.monotonic() - started,
    )


def _compare(log: EventLog, stream_id: str) -> Difference | None:
    stored = log.load_state(stream_id)
    # Read after the state: the stream can only have grown since.
    events = log.read_stream(stream_id)
    key = {"stream_id": stream_id, "version": stored.version if stored else len(events)}
    if stored is None:
        return Difference(table=PLATFORM_STATES, key=key, kind="missing", columns={})
    if stored.version > len(events):
        columns = {"version": (stored.version, len(events))}
        return Difference(table=PLATFORM_STATES, key=key, kind="unexpected", columns=columns)
    try:
        columns = _differing(stored, events[: stored.version], stream_id)
    except StoreError as error:
        return Difference(table=PLATFORM_STATES, key=key, kind="unreadable", columns={"events": (None, str(error))})
    return Difference(table=PLATFORM_STATES, key=key, kind="different", columns=columns) if columns else None


def _differing(stored: StoredState, events: list[RecordedEvent], stream_id: str) -> dict[str, tuple[Any, Any]]:
    state = fold(initial(stream_id), events)
    record = stored.record
    pairs: dict[str, tuple[Any, Any]] = {
        "head_hash": (stored.head_hash.hex(), events[-1].hash.hex() if events else ""),
        "fold_version": (record.fold_version, FOLD_VERSION),
        "namespace": (record.namespace, state.namespace),
        "name": (record.name, state.name),
        "phase": (record.phase, state.phase.value if state.phase else ""),
        "closed": (record.closed, state.closed),
    }
    try:
        before = msgspec.json.decode(record.state, type=PlatformState)
    except msgspec.MsgspecError as error:
        pairs["state"] = (f"does not decode: {error}", None)
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    for name in PlatformState.__struct_fields__:
        pairs[f"state.{name}"] = (getattr(before, name), getattr(state, name))
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _replace(log: EventLog, stream_id: str, record_of: Callable[[PlatformState], StateRecord]) -> None:
    for _ in range(STORE_ATTEMPTS):
        state = fold(initial(stream_id), log.read_stream(stream_id))
        if log.store_state(stream_id, state.version, record_of(state)):
            return
