"""The tables of the read models, as SQLAlchemy Core metadata. Migration 0002 creates the same; a test compares them.

Every read model table has a twin `<table>__rebuild`, in which a rebuild builds beside what is live. The twins are
made by the migration and not by the rebuild, so that the role of the running operator needs no right to change the
schema. Instants are UTC: `timestamptz` on Postgres, microseconds since 1970 on SQLite, as in the log itself.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

from eventstore.instants import from_microseconds, to_microseconds
from eventstore.schema import NAMING

SHADOW_SUFFIX = "__rebuild"
METADATA = MetaData(naming_convention=NAMING)


class Instant(TypeDecorator[datetime]):
    """An instant in UTC with microseconds, in and out always with its time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """SQLite has no type for instants."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """From what Python holds to what the column holds."""
        return value if value is None or dialect.name != "sqlite" else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From what the column holds to what Python holds."""
        if value is None:
            return None
        return from_microseconds(value) if dialect.name == "sqlite" else value.astimezone(UTC)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _place() -> tuple[Column[Any], ...]:
    """Where in the log a row comes from, and which platform it is about; the stream is the resource's uid."""
    return (
        Column("stream_id", Text, primary_key=True),
        Column("sequence", BigInteger, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
        _text("namespace"),
        _text("name"),
    )


#: Which phase changes did a platform go through, why, and how long did each phase last?
transition_history = Table(
    "transition_history",
    METADATA,
    *_place(),
    Column("from_phase", Text),
    _text("to_phase"),
    _text("trigger"),
    _text("reason"),
    _text("message"),
    Column("generation", BigInteger, nullable=False),
    _text("actor"),
    Column("occurred_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("took_seconds", Float),
    _text("event_id"),
    _text("event_hash"),
)

#: How is each component now?
component_health = Table(
    "component_health",
    METADATA,
    Column("stream_id", Text, primary_key=True),
    Column("component", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    _text("namespace"),
    _text("name"),
    Column("phase", Text),
    Column("since", Instant),
    _text("reason"),
    _text("message"),
    _text("desired_version"),
    _text("running_version"),
    Column("desired_replicas", Integer, nullable=False),
    Column("ready_replicas", Integer, nullable=False),
    _text("problems"),
    Column("observed_at", Instant),
    Column("gone_at", Instant),
)

#: Which phases and versions did each component go through?
component_history = Table(
    "component_history",
    METADATA,
    *_place(),
    _text("component"),
    Column("from_phase", Text),
    Column("to_phase", Text),
    _text("reason"),
    _text("message"),
    _text("version"),
    Column("occurred_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("took_seconds", Float),
)

#: What was asked of the cluster, and what came of it?
actions = Table(
    "actions",
    METADATA,
    *_place(),
    _text("verb"),
    _text("api_version"),
    _text("kind"),
    _text("object_name"),
    _text("component"),
    _text("digest"),
    _text("reason"),
    Column("requested_at", Instant, nullable=False),
    _text("outcome"),
    Column("outcome_sequence", BigInteger),
    Column("finished_at", Instant),
    Column("duration_seconds", Float),
    Column("changed", Boolean),
    _text("category"),
    _text("failure_reason"),
    _text("message"),
)

#: How far each projection has read. Everything that writes a read model moves `revision` on in the same transaction.
projection_checkpoints = Table(
    "projection_checkpoints",
    METADATA,
    Column("projection", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    #: Hash of the event at `position`: tells a log that was replaced by another one.
    _text("event_hash"),
    Column("recorded_at", Instant),
)

#: What a projection must remember of each stream to fold the next event, and the stream version it stands for.
projection_cursors = Table(
    "projection_cursors",
    METADATA,
    Column("projection", Text, primary_key=True),
    Column("stream_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    _text("memo"),
)

#: Streams a projection stopped at, the event it could not fold, and why.
projection_quarantine = Table(
    "projection_quarantine",
    METADATA,
    Column("projection", Text, primary_key=True),
    Column("stream_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    _text("event_type"),
    _text("reason"),
    _text("message"),
)

READ_MODEL_TABLES = (transition_history, component_health, component_history, actions)


def _twin(table: Table) -> Table:
    twin = table.to_metadata(METADATA, name=table.name + SHADOW_SUFFIX)
    # The copy comes with the name of the original's key, and names of keys are taken once per schema on Postgres.
    twin.primary_key.name = f"pk_{twin.name}"
    return twin


# Made before the indexes below, so that a twin has none of them: it is written once and read once.
_SHADOWS = {table.name: _twin(table) for table in READ_MODEL_TABLES}

for _table in READ_MODEL_TABLES:
    Index(f"ix_{_table.name}_namespace", _table.c.namespace, _table.c.name, _table.c.position)
    Index(f"ix_{_table.name}_position", _table.c.position)


def shadow_of(table: Table) -> Table:
    """The twin in which a rebuild of this table builds."""
    return _SHADOWS[table.name]


def create_read_models(engine: Engine) -> None:
    """Create all tables where no migration does: a database in memory."""
    METADATA.create_all(engine)
