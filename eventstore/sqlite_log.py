"""The event log in a SQLite file: one machine, any number of threads and processes, every commit on the disk."""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from eventstore.appending import Append, Outcome, judge, seal
from eventstore.clock import Clock, system_clock
from eventstore.envelope import GENESIS_HASH, AppendResult, NewEvent, RecordedEvent, StateRecord, StoredState
from eventstore.group_commit import GroupCommit
from eventstore.instants import from_microseconds, to_microseconds
from eventstore.lease import LeaseStore
from eventstore.limits import check_append, check_state
from eventstore.pool import ConnectionPool
from eventstore.sqlite_connection import BUSY_SECONDS, connect, translate
from eventstore.sqlite_lease import SqliteLeaseStore
from eventstore.waking import AppendSignal

Result = TypeVar("Result")

# In the order of the fields of RecordedEvent.
_EVENTS = (
    "SELECT position, stream_id, version, event_id, type, schema_version, CAST(payload AS BLOB), occurred_at,"
    " recorded_at, causation_id, correlation_id, actor, epoch, prev_hash, hash FROM events"
)
_STATES = (
    "SELECT stream_id, version, head_hash, CAST(state AS BLOB), fold_version, namespace, name, phase, due_at, closed"
    " FROM platform_states"
)
_INSERT_EVENT = (
    "INSERT INTO events (position, stream_id, version, event_id, type, schema_version, payload, occurred_at,"
    " recorded_at, causation_id, correlation_id, actor, epoch, prev_hash, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SET_HEAD = (
    "INSERT INTO stream_heads (stream_id, version, hash, first_position) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, hash = excluded.hash"
)
_SET_STATE = (
    "INSERT OR REPLACE INTO platform_states"
    " (stream_id, version, head_hash, state, fold_version, namespace, name, phase, due_at, closed)"
    " VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)"
)
_READERS_MAX = 8


class SqliteEventLog:
    """`EventLog` on one file. The file must hold the current schema: use `eventstore.opening.open_log`."""

    def __init__(self, path: str, clock: Clock = system_clock) -> None:
        self._path = path
        self._clock = clock
        self._signal = AppendSignal()
        self._readers = ConnectionPool(
            lambda: connect(path), sqlite3.Connection.close, size_max=_READERS_MAX, wait_seconds_max=BUSY_SECONDS
        )
        self._writer = connect(path)
        self._group = GroupCommit(self._commit)
        self._lease = SqliteLeaseStore(self._write_alone, clock)

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
        result = self._group.submit(Append(stream_id, expected_version, events, epoch, state, contents or {}))
        self._signal.announce(result.last_position)
        return result

    def _commit(self, batch: list[Append]) -> list[Outcome]:
        return _transact(self._writer, self._path, lambda writer: self._write_batch(writer, batch))

    def _write_batch(self, writer: sqlite3.Connection, batch: list[Append]) -> list[Outcome]:
        row = writer.execute("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1").fetchone()
        position, recorded = row or (0, 0)
        recorded_at = from_microseconds(max(recorded, to_microseconds(self._clock().astimezone(UTC))))
        current_epoch = _current_epoch(writer)
        outcomes: list[Outcome] = []
        for append in batch:
            outcome = _write_append(writer, append, position, recorded_at, current_epoch)
            outcomes.append(outcome)
            if isinstance(outcome, AppendResult):
                position = max(position, outcome.last_position)
        return outcomes

    def _write_alone(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """A write that is not an append: its own connection, so that it need not queue with them."""
        with self._readers.connection() as connection:
            return _transact(connection, self._path, work)

    def _query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with self._readers.connection() as connection:
            try:
                return connection.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise translate(error, self._path) from None

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """See `EventLog.read_stream`."""
        rows = self._query(
            f"{_EVENTS} WHERE stream_id = ? AND version > ? ORDER BY version LIMIT ?",
            (stream_id, after_version, -1 if limit is None else limit),
        )
        return _recorded(rows)

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """See `EventLog.read_all`."""
        rows = self._query(f"{_EVENTS} WHERE position > ? ORDER BY position LIMIT ?", (after_position, limit))
        return _recorded(rows)

    def head_position(self) -> int:
        """See `EventLog.head_position`."""
        return int(self._query("SELECT coalesce(max(position), 0) FROM events")[0][0])

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """See `EventLog.stream_head`."""
        rows = self._query("SELECT version, hash FROM stream_heads WHERE stream_id = ?", (stream_id,))
        return rows[0] if rows else (0, GENESIS_HASH)

    def stream_ids(self) -> list[str]:
        """See `EventLog.stream_ids`."""
        return [row[0] for row in self._query("SELECT stream_id FROM stream_heads ORDER BY first_position")]

    def load_state(self, stream_id: str) -> StoredState | None:
        """See `EventLog.load_state`."""
        rows = self._query(f"{_STATES} WHERE stream_id = ?", (stream_id,))
        return _stored_state(rows[0]) if rows else None

    def store_state(self, stream_id: str, version: int, state: StateRecord) -> bool:
        """See `EventLog.store_state`."""
        check_state(state)

        def replace(writer: sqlite3.Connection) -> bool:
            head_version, head_hash = _head(writer, stream_id)
            if version < 1 or head_version != version:
                return False
            _put_state(writer, stream_id, version, head_hash, state)
            return True

        return self._write_alone(replace)

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """See `EventLog.list_states`."""
        rows = self._query(f"{_STATES} WHERE NOT closed OR ? ORDER BY stream_id", (include_closed,))
        return [_stored_state(row) for row in rows]

    def due_streams(self, now: datetime, limit: int = 1000) -> list[str]:
        """See `EventLog.due_streams`."""
        rows = self._query(
            "SELECT stream_id FROM platform_states WHERE NOT closed AND due_at <= ? ORDER BY due_at, stream_id LIMIT ?",
            (to_microseconds(now), limit),
        )
        return [row[0] for row in rows]

    def get_content(self, digest: str) -> bytes | None:
        """See `EventLog.get_content`."""
        rows = self._query("SELECT body FROM contents WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """See `EventLog.wait_for_append`."""
        return self._signal.wait(self.head_position, after_position, timeout_seconds)

    def close(self) -> None:
        """See `EventLog.close`."""
        self._group.close()
        self._signal.close()
        self._readers.close()
        self._writer.close()


def _transact(connection: sqlite3.Connection, path: str, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Run `work` in a transaction of its own that holds the file's one write lock from the start."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        raise translate(error, path) from None
    return result


def _write_append(
    writer: sqlite3.Connection, append: Append, position: int, recorded_at: datetime, current_epoch: int
) -> Outcome:
    head_version, head_hash = _head(writer, append.stream_id)
    known = _with_event_ids(writer, (str(event.event_id) for event in append.events))
    outcome = judge(append, head_version=head_version, current_epoch=current_epoch, known=known)
    if outcome is not None:
        return outcome
    sealed, result = seal(append, last_position=position, prev_hash=head_hash, recorded_at=recorded_at)
    writer.executemany(_INSERT_EVENT, map(_event_row, sealed))
    writer.execute(_SET_HEAD, (append.stream_id, result.last_version, result.head_hash, position + 1))
    if append.state is not None:
        _put_state(writer, append.stream_id, result.last_version, result.head_hash, append.state)
    if append.contents:
        writer.executemany("INSERT OR IGNORE INTO contents (digest, body) VALUES (?, ?)", append.contents.items())
    return result


def _head(connection: sqlite3.Connection, stream_id: str) -> tuple[int, bytes]:
    row = connection.execute("SELECT version, hash FROM stream_heads WHERE stream_id = ?", (stream_id,)).fetchone()
    return row or (0, GENESIS_HASH)


def _current_epoch(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT epoch FROM leases WHERE name = 'operator'").fetchone()
    return row[0] if row else 0


def _with_event_ids(connection: sqlite3.Connection, event_ids: Iterable[str]) -> list[RecordedEvent]:
    statement = f"{_EVENTS} WHERE event_id = ?"
    return _recorded([row for event_id in event_ids for row in connection.execute(statement, (event_id,))])


def _put_state(writer: sqlite3.Connection, stream_id: str, version: int, head_hash: bytes, record: StateRecord) -> None:
    due = None if record.due_at is None else to_microseconds(record.due_at)
    texts = (record.fold_version, record.namespace, record.name, record.phase)
    writer.execute(_SET_STATE, (stream_id, version, head_hash, record.state, *texts, due, record.closed))


def _event_row(event: RecordedEvent) -> tuple[object, ...]:
    return (
        event.position,
        event.stream_id,
        event.version,
        str(event.event_id),
        event.type,
        event.schema_version,
        event.payload,
        to_microseconds(event.occurred_at),
        to_microseconds(event.recorded_at),
        None if event.causation_id is None else str(event.causation_id),
        str(event.correlation_id),
        event.actor,
        event.epoch,
        event.prev_hash,
        event.hash,
    )


#: The events of one pass share their correlation id and mostly their instants: neighbours hit this cache.
_uuid = lru_cache(maxsize=1024)(UUID)
_instant = lru_cache(maxsize=1024)(from_microseconds)


def _recorded(rows: list[Any]) -> list[RecordedEvent]:
    return [
        RecordedEvent(
            row[0],
            row[1],
            row[2],
            UUID(row[3]),
            row[4],
            row[5],
            row[6],
            _instant(row[7]),
            _instant(row[8]),
            None if row[9] is None else _uuid(row[9]),
            _uuid(row[10]),
            row[11],
            row[12],
            row[13],
            row[14],
        )
        for row in rows
    ]


def _stored_state(row: Any) -> StoredState:
    record = StateRecord(
        state=row[3],
        fold_version=row[4],
        namespace=row[5],
        name=row[6],
        phase=row[7],
        due_at=None if row[8] is None else from_microseconds(row[8]),
        closed=bool(row[9]),
    )
    return StoredState(stream_id=row[0], version=row[1], head_hash=row[2], record=record)
