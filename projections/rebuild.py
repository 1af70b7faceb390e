"""Build a read model from the first event, beside what is live; compare; and, if asked, put it in its place.

What is live is read and caught up all the while. The swap is one transaction: whoever reads sees the rows before it or
the rows after it. It needs no right to change the schema, as the tables it builds in always exist. On SQLite, which has
one writer at a time, appends wait while the rows are copied (about a second for 300,000 of them).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, FromClause, Table, func, insert, literal, select, update

from eventstore.codec import decode as decode_event
from eventstore.engine import wait_as_long_as_it_takes
from eventstore.errors import StoreError
from eventstore.log import EventLog
from projections.checkpoints import (
    Checkpoint,
    Target,
    advance,
    clear,
    ensure_checkpoint,
    load_checkpoint,
)
from projections.contract import ReadModel
from projections.differences import DIFFERENCES_MAX, Difference, compare
from projections.folding import Decode, decode_page
from projections.pages import PAGE_SIZE, apply_page, apply_page_within
from projections.read_models import read_model
from projections.tables import projection_checkpoints, projection_cursors, projection_quarantine

#: How often a comparison is tried without a lock, while what is live moves on, before it takes the lock.
LOCK_FREE_ATTEMPTS = 3


class RebuildInterruptedError(StoreError):
    """Another rebuild of the same read model began: this one gave way and changed nothing."""


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild found."""

    projection: str
    #: Position in the log at which the two were compared.
    position: int
    #: Rows that were built.
    rows: int
    #: Rows that are not what they should be: how many, and the first 20 by table and key.
    differing: int
    differences: list[Difference]
    identical: bool
    #: The rebuilt rows are live now.
    applied: bool
    seconds: float


def rebuild(
    log: EventLog, engine: Engine, name: str | ReadModel, *, apply: bool = False, decode: Decode = decode_event
) -> RebuildReport:
    """Build a read model from zero, compare it with what is live at the same position, and swap if `apply`.

    Raises:
        KeyError: there is no read model of this name.
        RebuildInterruptedError: another rebuild of it began.
        StoreUnavailableError: the log cannot be read.
    """
    started = time.monotonic()
    build = _Build(log, engine, read_model(name) if isinstance(name, str) else name, decode)
    build.begin()
    position, rows, differing, differences = build.compare_with_live()
    if apply:
        build.swap()
    build.discard()
    return RebuildReport(
        projection=build.live.projection,
        position=position,
        rows=rows,
        differing=differing,
        differences=differences,
        identical=differing == 0,
        applied=apply,
        seconds=time.monotonic() - started,
    )


def replace_live(log: EventLog, engine: Engine, model: ReadModel, *, decode: Decode = decode_event) -> None:
    """Build a read model from zero up to the head of the log and swap: the rows are of another version.

    Raises:
        RebuildInterruptedError: another rebuild of it began.
    """
    build = _Build(log, engine, model, decode)
    build.begin()
    build.build_to(log.head_position())
    build.swap()
    build.discard()


class _Build:
    """A read model in its twin tables, and how far it has come."""

    def __init__(self, log: EventLog, engine: Engine, model: ReadModel, decode: Decode) -> None:
        self._log, self._engine, self._decode = log, engine, decode
        self.live, self.shadow = Target(model), Target(model, shadow=True)
        self.at = Checkpoint(version=model.version)

    def begin(self) -> None:
        """Empty the twins and make them ours: a rebuild that still runs will notice at its next page."""
        with self._engine.begin() as connection:
            for target in (self.live, self.shadow):
                ensure_checkpoint(connection, target.projection, target.model.version)
        with _alone(self._engine, self.shadow.projection) as (connection, was):
            advance(connection, self.shadow.projection, was, self.at)
            clear(connection, self.shadow)
        self.at = msgspec.structs.replace(self.at, revision=was.revision + 1)

    def build_to(self, position: int, within: Connection | None = None) -> None:
        """Fold the log up to this position, or up to its head if that comes first."""
        while self.at.position < position:
            events = self._log.read_all(self.at.position, PAGE_SIZE)
            page = decode_page([event for event in events if event.position <= position], self._decode)
            if not page:
                return
            fold = (
                apply_page_within(within, self.shadow, self.at, page)
                if within is not None
                else apply_page(self._engine, self.shadow, self.at, page)
            )
            if fold is None:
                raise RebuildInterruptedError
            last = page[-1][0]
            self.at = Checkpoint(
                version=self.at.version,
                position=last.position,
                revision=self.at.revision + 1,
                event_hash=last.hash.hex(),
                recorded_at=last.recorded_at,
            )

    def compare_with_live(self) -> tuple[int, int, int, list[Difference]]:
        """(position, rows, differing rows, differences), where both stand at the same position."""
        for _ in range(LOCK_FREE_ATTEMPTS):
            with self._engine.begin() as connection:
                live = _loaded(connection, self.live.projection)
            if live.position < self.at.position:
                self.begin()  # what is live was started over meanwhile
            self.build_to(live.position)
            with _snapshot(self._engine) as connection:
                if _loaded(connection, self.live.projection).revision == live.revision:
                    return self._compare(connection)
        with _alone(self._engine, self.live.projection) as (connection, live):
            self.build_to(live.position, within=connection)
            return self._compare(connection)

    def swap(self) -> None:
        """Put the twins' rows in the place of the live ones, at a position not before the live one."""
        with _alone(self._engine, self.live.projection) as (connection, live):
            self.build_to(live.position, within=connection)
            self._still_ours(connection)
            advance(connection, self.live.projection, live, self.at)
            clear(connection, self.live)
            for table in self.live.model.tables:
                source = self.shadow.table(table)
                connection.execute(insert(table).from_select(list(table.c.keys()), select(*source.c)))
            for beside in (projection_cursors, projection_quarantine):
                others = [column for column in beside.c if column.name != "projection"]
                rows = select(literal(self.live.projection), *others).where(
                    beside.c.projection == self.shadow.projection
                )
                names = ["projection", *(column.name for column in others)]
                connection.execute(insert(beside).from_select(names, rows))

    def discard(self) -> None:
        """Empty the twins."""
        with _alone(self._engine, self.shadow.projection) as (connection, was):
            if was.revision == self.at.revision:
                advance(connection, self.shadow.projection, was, Checkpoint(version=self.at.version))
                clear(connection, self.shadow)

    def _compare(self, connection: Connection) -> tuple[int, int, int, list[Difference]]:
        self._still_ours(connection)
        rows, differing, differences = 0, 0, list[Difference]()
        for table, live, rebuilt in self._pairs():
            key = tuple(c.name for c in table.primary_key.columns if c.name != "projection")
            room = DIFFERENCES_MAX - len(differences)
            count, found = compare(connection, table.name, live, rebuilt, key, room)
            differing, differences = differing + count, differences + found
        for table in self.shadow.model.tables:
            rows += connection.execute(select(func.count()).select_from(self.shadow.table(table))).scalar_one()
        return self.at.position, rows, differing, differences

    def _pairs(self) -> Iterator[tuple[Table, FromClause, FromClause]]:
        for table in self.live.model.tables:
            yield table, table, self.shadow.table(table)
        for beside in (projection_cursors, projection_quarantine):
            live, rebuilt = (_of(beside, target.projection) for target in (self.live, self.shadow))
            yield beside, live, rebuilt

    def _still_ours(self, connection: Connection) -> None:
        if _loaded(connection, self.shadow.projection).revision != self.at.revision:
            raise RebuildInterruptedError


def _of(table: Table, projection: str) -> FromClause:
    columns: list[Any] = [column for column in table.c if column.name != "projection"]
    return select(*columns).where(table.c.projection == projection).subquery()


def _loaded(connection: Connection, projection: str) -> Checkpoint:
    found = load_checkpoint(connection, projection)
    assert found is not None, "begin() made it"
    return found


def _lock(connection: Connection, projection: str) -> Checkpoint:
    """Keep other writers of this projection out until the transaction ends. Comes first in it, as `advance` does."""
    c = projection_checkpoints.c
    connection.execute(update(projection_checkpoints).where(c.projection == projection).values(revision=c.revision))
    return _loaded(connection, projection)


@contextmanager
def _alone(engine: Engine, projection: str) -> Iterator[tuple[Connection, Checkpoint]]:
    """A transaction that keeps other writers of a projection out until it ends, and the projection's checkpoint."""
    with engine.begin() as connection:
        wait_as_long_as_it_takes(connection)
        yield connection, _lock(connection, projection)


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        # SQLite's transactions see one snapshot anyway.
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            wait_as_long_as_it_takes(connection)
            yield connection
