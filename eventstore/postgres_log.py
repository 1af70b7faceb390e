"""The event log in Postgres (14 or newer): any number of processes, one order that no reader sees out of turn.

All writes are calls of functions in the schema, one round trip each; the functions take the lock, check and chain.
"""

from datetime import datetime
from itertools import starmap
from typing import Any

import psycopg
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import ByteaBinaryLoader

from eventstore.appending import Append, Outcome
from eventstore.envelope import GENESIS_HASH, AppendResult, NewEvent, RecordedEvent, StateRecord, StoredState
from eventstore.errors import StoreConfigurationError, StoreError, StoreUnavailableError
from eventstore.group_commit import GroupCommit
from eventstore.instants import to_microseconds
from eventstore.lease import LeaseStore
from eventstore.limits import check_append, check_state
from eventstore.pool import ConnectionPool
from eventstore.postgres_batch import outcome_of, statement_of
from eventstore.postgres_connection import SERVER_VERSION_MIN, connect, is_worth_a_second_try, translate
from eventstore.postgres_lease import PostgresLeaseStore
from eventstore.schema_version import check_schema
from eventstore.waking import AppendSignal

_READERS_MAX = 8
_READER_WAIT_SECONDS_MAX = 5.0

# In the order of the fields of RecordedEvent.
_EVENTS = (
    "SELECT position, stream_id, version, event_id, type, schema_version, payload, occurred_at, recorded_at,"
    " causation_id, correlation_id, actor, epoch, prev_hash, hash FROM events"
)
_STATES = (
    "SELECT stream_id, version, head_hash, state, fold_version, namespace, name, phase, due_at, closed"
    " FROM platform_states"
)


class PostgresEventLog:
    """`EventLog` on a Postgres database. Opening it checks server, encoding and schema."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._signal = AppendSignal()
        self._readers = ConnectionPool(
            self._connect,
            psycopg.Connection.close,
            size_max=_READERS_MAX,
            wait_seconds_max=_READER_WAIT_SECONDS_MAX,
        )
        self._writer: psycopg.Connection[tuple[Any, ...]] | None = None
        self._group = GroupCommit(self._commit)
        self._lease = PostgresLeaseStore(self._query)
        try:
            with self._readers.connection() as connection:
                _check_server(connection)
        except psycopg.Error as error:
            raise translate(error) from None

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
        statement, arguments = statement_of(batch)
        try:
            rows = self._call(statement, arguments)
        except psycopg.Error as error:
            self._drop_writer()
            if not is_worth_a_second_try(error):
                raise translate(error) from None
            rows = self._call_again(statement, arguments)
        return [outcome_of(append, row) for append, row in zip(batch, rows, strict=True)]

    def _call(self, statement: str, arguments: list[Any]) -> list[tuple[Any, ...]]:
        if self._writer is None:
            self._writer = self._connect()
        with self._writer.cursor(binary=True) as cursor:
            return cursor.execute(statement, arguments, prepare=True).fetchall()

    def _call_again(self, statement: str, arguments: list[Any]) -> list[tuple[Any, ...]]:
        """The same batch on a new connection: if the first try was committed after all, its results come back."""
        try:
            return self._call(statement, arguments)
        except (psycopg.Error, StoreError) as error:
            self._drop_writer()
            ours = translate(error) if isinstance(error, psycopg.Error) else error
            if isinstance(ours, StoreUnavailableError):
                message = f"{ours}. Whether the append was written is not known: append again with the same event ids"
                raise type(ours)(message) from None
            raise ours from None

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = connect(self._target)
        # Arrays of numbers always as bigint: psycopg picks the narrowest type, a new statement for each.
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        # Documents as the bytes that were stored, neither decoded nor parsed.
        connection.adapters.register_loader("json", ByteaBinaryLoader)
        return connection

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement that may be sent twice: if its connection turns out to be dead, on a new one."""
        try:
            return self._fetch(statement, parameters, fresh=False)
        except psycopg.Error as error:
            if not is_worth_a_second_try(error):
                raise translate(error) from None
        try:
            return self._fetch(statement, parameters, fresh=True)
        except psycopg.Error as error:
            raise translate(error) from None

    def _fetch(self, statement: str, parameters: tuple[object, ...], *, fresh: bool) -> list[tuple[Any, ...]]:
        with self._readers.connection(fresh=fresh) as connection, connection.cursor(binary=True) as cursor:
            return cursor.execute(statement, parameters).fetchall()

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """See `EventLog.read_stream`."""
        rows = self._query(
            f"{_EVENTS} WHERE stream_id = %b AND version > %b ORDER BY version LIMIT %b",
            (stream_id, after_version, limit),
        )
        return _recorded(rows)

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """See `EventLog.read_all`."""
        return _recorded(
            self._query(f"{_EVENTS} WHERE position > %b ORDER BY position LIMIT %b", (after_position, limit))
        )

    def head_position(self) -> int:
        """See `EventLog.head_position`."""
        return int(self._query("SELECT coalesce(max(position), 0) FROM events")[0][0])

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """See `EventLog.stream_head`."""
        rows = self._query("SELECT version, hash FROM stream_heads WHERE stream_id = %b", (stream_id,))
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS_HASH)

    def stream_ids(self) -> list[str]:
        """See `EventLog.stream_ids`."""
        return [row[0] for row in self._query("SELECT stream_id FROM stream_heads ORDER BY first_position")]

    def load_state(self, stream_id: str) -> StoredState | None:
        """See `EventLog.load_state`."""
        rows = self._query(f"{_STATES} WHERE stream_id = %b", (stream_id,))
        return _stored_state(rows[0]) if rows else None

    def store_state(self, stream_id: str, version: int, state: StateRecord) -> bool:
        """See `EventLog.store_state`."""
        check_state(state)
        due = None if state.due_at is None else to_microseconds(state.due_at)
        texts = (state.fold_version, state.namespace, state.name, state.phase)
        rows = self._query(
            "SELECT ledger_store_state(%b, %b, %b, %b, %b, %b, %b, %b, %b)",
            (stream_id, version, state.state, *texts, due, state.closed),
        )
        return bool(rows[0][0])

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """See `EventLog.list_states`."""
        rows = self._query(f'{_STATES} WHERE NOT closed OR %b ORDER BY stream_id COLLATE "C"', (include_closed,))
        return [_stored_state(row) for row in rows]

    def due_streams(self, now: datetime, limit: int = 1000) -> list[str]:
        """See `EventLog.due_streams`."""
        rows = self._query(
            "SELECT stream_id FROM platform_states WHERE NOT closed AND due_at <= %b"
            ' ORDER BY due_at, stream_id COLLATE "C" LIMIT %b',
            (now, limit),
        )
        return [row[0] for row in rows]

    def get_content(self, digest: str) -> bytes | None:
        """See `EventLog.get_content`."""
        rows = self._query("SELECT body FROM contents WHERE digest = %b", (digest,))
        return rows[0][0] if rows else None

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """See `EventLog.wait_for_append`."""
        return self._signal.wait(self.head_position, after_position, timeout_seconds)

    def close(self) -> None:
        """See `EventLog.close`."""
        self._group.close()
        self._signal.close()
        self._readers.close()
        self._drop_writer()


def _check_server(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    if connection.info.server_version < SERVER_VERSION_MIN:
        raise StoreConfigurationError(
            f"Postgres {connection.info.server_version // 10000} is too old: the log needs "
            f"{SERVER_VERSION_MIN // 10000} or newer"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreConfigurationError(f"the database has the encoding {encoding}: create it with UTF8")
    rows = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchall()
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall() if rows[0][0] else []
    check_schema(found[0][0] if found else None)


def _recorded(rows: list[tuple[Any, ...]]) -> list[RecordedEvent]:
    return list(starmap(RecordedEvent, rows))


def _stored_state(row: tuple[Any, ...]) -> StoredState:
    record = StateRecord(
        state=row[3],
        fold_version=row[4],
        namespace=row[5],
        name=row[6],
        phase=row[7],
        due_at=row[8],
        closed=row[9],
    )
    return StoredState(stream_id=row[0], version=row[1], head_hash=row[2], record=record)
