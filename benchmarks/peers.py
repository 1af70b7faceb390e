"""What the log is measured against: pyeventsourcing's recorder, and the bare driver."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent, UUIDAsHex
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from benchmarks.stage import NOON, SPEC, Work, new_event
from eventstore.envelope import GENESIS_HASH


class PlatformSeen(Aggregate):
    """The library's aggregate with the same event as ours."""

    @dataclass(frozen=True)
    class Observed(Aggregate.Event):
        """The same fields as `PlatformObserved`."""

        namespace: str
        name: str
        generation: int
        spec: dict[str, Any]
        digest: str
        field_manager: str


class Library:
    """pyeventsourcing's application recorder and mapper, set up as its documentation says."""

    def __init__(self, dsn: str) -> None:
        info = psycopg.conninfo.conninfo_to_dict(dsn)
        self._datastore = PostgresDatastore(
            dbname=str(info["dbname"]),
            host=str(info["host"]),
            port=str(info.get("port") or "5432"),
            user=str(info["user"]),
            password="",
            pool_size=32,
            connect_timeout=30,
        )
        self.recorder = PostgresApplicationRecorder(self._datastore)
        self.recorder.create_table()
        transcoder = JSONTranscoder()
        transcoder.register(UUIDAsHex())
        transcoder.register(DatetimeAsISO())
        self.mapper: Mapper[UUID] = Mapper(transcoder)

    def stored_event(self, aggregate: UUID, version: int) -> StoredEvent:
        """The event as the library stores it."""
        event = PlatformSeen.Observed(
            originator_id=aggregate,
            originator_version=version,
            timestamp=NOON,
            namespace="monitoring",
            name="prod",
            generation=version,
            spec=SPEC,
            digest="sha256:0000000000000000",
            field_manager="kubectl",
        )
        return self.mapper.to_stored_event(event)

    def make_work(self, _: int) -> Work:
        """Appends to aggregates of 100 events, one event each time."""
        aggregate = uuid4()

        def work(call: int) -> None:
            nonlocal aggregate
            if call % 100 == 0:
                aggregate = uuid4()
            self.recorder.insert_events([self.stored_event(aggregate, call % 100 + 1)])

        return work

    def read_all(self, each: Callable[[object], None]) -> int:
        """Read the whole log to domain events, in pages of 1000; the number of events."""
        start, count = 0, 0
        while page := self.recorder.select_notifications(start, 1000, inclusive_of_start=False):
            for notification in page:
                each(self.mapper.to_domain_event(notification))
            start, count = page[-1].id, count + len(page)
        return count

    def close(self) -> None:
        """Release the connections."""
        self._datastore.close()


_INSERT = (
    "INSERT INTO raw_events (position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,"
    " causation_id, correlation_id, actor, epoch, prev_hash, hash, payload)"
    " VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b::text::json)"
)


class RawDriver:
    """The same row, inserted by the driver: no version check, no order for readers, no chain."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("CREATE TABLE IF NOT EXISTS raw_events (LIKE events INCLUDING ALL)")
        self._position = 0

    def transactions(self, _: int) -> Work:
        """Inserts a row in a transaction: begin, insert, commit."""

        def work(call: int) -> None:
            with self._connection.transaction():
                self._insert(call)

        return work

    def statements(self, _: int) -> Work:
        """Inserts a row by a statement that commits itself: one round trip, the least a database can do."""
        return self._insert

    def _insert(self, call: int) -> None:
        event = new_event(call % 100 + 1)
        self._position += 1
        self._connection.execute(
            _INSERT,
            (
                self._position,
                f"stream-{self._position // 100}",
                self._position % 100,
                event.event_id,
                event.type,
                event.schema_version,
                event.occurred_at,
                event.occurred_at,
                event.causation_id,
                event.correlation_id,
                event.actor,
                1,
                GENESIS_HASH,
                GENESIS_HASH,
                event.payload.decode(),
            ),
            prepare=True,
        )

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()
