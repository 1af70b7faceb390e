"""The tables of the log, declared: what the migrations must add up to. The hot paths do not go through here."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, TIMESTAMP

NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}

metadata = MetaData(naming_convention=NAMING)

#: SQLite makes a column the row id only if its type is spelled INTEGER.
_POSITION = BigInteger().with_variant(Integer, "sqlite")
#: SQLite: microseconds since 1970, UTC.
_INSTANT = TIMESTAMP(timezone=True).with_variant(BigInteger, "sqlite")
#: `json`, not `jsonb`: it keeps the bytes that were hashed. Select it as `payload::text`.
_DOCUMENT = JSON().with_variant(Text, "sqlite")
_UUID = Uuid().with_variant(Text, "sqlite")

events = Table(
    "events",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=False),
    Column("stream_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("event_id", _UUID, nullable=False),
    Column("type", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("occurred_at", _INSTANT, nullable=False),
    Column("recorded_at", _INSTANT, nullable=False),
    Column("causation_id", _UUID),
    Column("correlation_id", _UUID, nullable=False),
    Column("actor", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload", _DOCUMENT, nullable=False),
    UniqueConstraint("stream_id", "version"),
    UniqueConstraint("event_id"),
)

stream_heads = Table(
    "stream_heads",
    metadata,
    Column("stream_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("first_position", BigInteger, nullable=False),
)

platform_states = Table(
    "platform_states",
    metadata,
    Column("stream_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("state", _DOCUMENT, nullable=False),
    Column("fold_version", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("due_at", _INSTANT),
    Column("closed", Boolean, nullable=False),
    Index(
        "ix_platform_states_due_at",
        "due_at",
        postgresql_where=text("NOT closed"),
        sqlite_where=text("NOT closed"),
    ),
    Index("ix_platform_states_namespace", "namespace", "name"),
)

contents = Table(
    "contents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", _INSTANT, nullable=False),
)
