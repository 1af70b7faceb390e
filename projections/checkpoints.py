"""How far each projection has read, and what it remembers: the rows beside the rows.

Every function takes a connection and belongs to the caller's transaction.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from projections.contract import ReadModel
from projections.folding import Cursor, PageFold, Poison
from projections.tables import (
    SHADOW_SUFFIX,
    projection_checkpoints,
    projection_cursors,
    projection_quarantine,
    shadow_of,
)
from projections.upsert import upsert


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a projection has read."""

    #: Version of the read model that wrote the rows.
    version: int
    position: int = 0
    #: Moves on with every write; the compare-and-set that keeps two writers apart.
    revision: int = 0
    #: Hex hash of the event at `position`; "" at the start.
    event_hash: str = ""
    #: When the log recorded that event.
    recorded_at: datetime | None = None


class Target(msgspec.Struct, frozen=True):
    """The set of tables a read model is written to: the live ones, or their twins during a rebuild."""

    model: ReadModel
    shadow: bool = False

    @property
    def projection(self) -> str:
        """Key of its checkpoint, cursors and quarantine."""
        return f"{self.model.name}{SHADOW_SUFFIX}" if self.shadow else self.model.name

    def table(self, table: Table) -> Table:
        """Where rows of `table` go."""
        return shadow_of(table) if self.shadow else table


def load_checkpoints(connection: Connection, projections: Collection[str]) -> dict[str, Checkpoint]:
    """The checkpoints of these projections; those that never ran are absent."""
    c = projection_checkpoints.c
    rows = connection.execute(
        select(c.projection, c.version, c.position, c.revision, c.event_hash, c.recorded_at).where(
            c.projection.in_(projections)
        )
    )
    return {
        row.projection: Checkpoint(
            version=row.version,
            position=row.position,
            revision=row.revision,
            event_hash=row.event_hash,
            recorded_at=row.recorded_at,
        )
        for row in rows
    }


def load_checkpoint(connection: Connection, projection: str) -> Checkpoint | None:
    """The checkpoint, or None if the projection never ran."""
    return load_checkpoints(connection, [projection]).get(projection)


def ensure_checkpoint(connection: Connection, projection: str, version: int) -> None:
    """Put a checkpoint at the start of the log, if there is none."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = {"projection": projection, "version": version, "position": 0, "revision": 0, "event_hash": ""}
    connection.execute(dialect.insert(projection_checkpoints).values(**first).on_conflict_do_nothing())


def advance(connection: Connection, projection: str, was: Checkpoint, now: Checkpoint) -> bool:
    """Put `now` (with the next revision) in the place of `was`; False if somebody else was faster.

    It comes first in a transaction: it takes the lock, so that the slower of two writers does no work in vain and
    SQLite never has to turn a reading transaction into a writing one.
    """
    c = projection_checkpoints.c
    values = {**msgspec.structs.asdict(now), "revision": was.revision + 1}
    moved = connection.execute(
        update(projection_checkpoints)
        .where(c.projection == projection, c.position == was.position, c.revision == was.revision)
        .values(**values)
    )
    return moved.rowcount == 1


def load_cursors(connection: Connection, target: Target, stream_ids: Collection[str]) -> dict[str, Cursor]:
    """Where the projection stands in these streams; those it has not met are absent."""
    c = projection_cursors.c
    rows = connection.execute(
        select(c.stream_id, c.version, c.memo).where(c.projection == target.projection, c.stream_id.in_(stream_ids))
    )
    read = msgspec.json.Decoder(target.model.memo_type).decode
    return {row.stream_id: Cursor(row.version, read(row.memo)) for row in rows}


def stopped_streams(connection: Connection, projection: str) -> dict[str, Poison]:
    """The streams the projection stopped at."""
    table = projection_quarantine
    wanted = [column for column in table.columns if column.name != "projection"]
    rows = connection.execute(select(*wanted).where(table.c.projection == projection).order_by(table.c.position))
    return {row["stream_id"]: Poison(**row) for row in rows.mappings()}


def write_fold(connection: Connection, target: Target, fold: PageFold) -> None:
    """Write what a page came to."""
    for table, rows in fold.rows.items():
        upsert(connection, target.table(table), [msgspec.structs.astuple(row) for row in rows.values()])
    encode = msgspec.json.Encoder(order="sorted").encode
    upsert(
        connection,
        projection_cursors,
        [
            (target.projection, stream_id, cursor.version, encode(cursor.memo).decode())
            for stream_id, cursor in fold.cursors.items()
        ],
    )
    upsert(
        connection,
        projection_quarantine,
        [(target.projection, *msgspec.structs.astuple(poison)) for poison in fold.poisons.values()],
    )


def clear(connection: Connection, target: Target) -> None:
    """Remove everything but the checkpoint."""
    _delete(connection, target, None)


def clear_streams(connection: Connection, target: Target, stream_ids: Collection[str]) -> None:
    """Remove everything these streams led to."""
    _delete(connection, target, stream_ids)


def _delete(connection: Connection, target: Target, stream_ids: Collection[str] | None) -> None:
    beside: Iterable[Table] = (projection_cursors, projection_quarantine)
    statements = [delete(target.table(table)) for table in target.model.tables]
    statements += [delete(table).where(table.c.projection == target.projection) for table in beside]
    for statement in statements:
        column = statement.table.c["stream_id"]
        connection.execute(statement if stream_ids is None else statement.where(column.in_(stream_ids)))
