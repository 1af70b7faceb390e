"""Create the ledger: events, stream heads, platform states, contents, leases, and what guards them."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, TIMESTAMP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_INSTANT = TIMESTAMP(timezone=True).with_variant(sa.BigInteger, "sqlite")
_DOCUMENT = JSON().with_variant(sa.Text, "sqlite")
_UUID = sa.Uuid().with_variant(sa.Text, "sqlite")


def upgrade() -> None:
    """Tables first, then the functions and triggers of the database at hand."""
    _create_events()
    _create_heads_and_states()
    op.create_table(
        "contents",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_contents"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    dialect = op.get_context().dialect.name
    script = files("migrations").joinpath("sql", f"0001_{dialect}.sql").read_text(encoding="utf-8")
    if dialect == "postgresql":
        script = script.replace("{schema}", _current_schema())
    for statement in script.split("\n-- next\n"):
        op.execute(sa.text(statement.replace(":", r"\:")))


def _current_schema() -> str:
    """The quoted schema the tables were created in: the functions look nowhere else, whoever calls them."""
    if op.get_context().as_sql:
        return "public"
    return str(op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())")))


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("position", _POSITION, nullable=False, autoincrement=False),
        sa.Column("stream_id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event_id", _UUID, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.Column("causation_id", _UUID, nullable=True),
        sa.Column("correlation_id", _UUID, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("payload", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_events"),
        sa.UniqueConstraint("stream_id", "version", name="uq_events_stream_id"),
        sa.UniqueConstraint("event_id", name="uq_events_event_id"),
    )


def _create_heads_and_states() -> None:
    op.create_table(
        "stream_heads",
        sa.Column("stream_id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("first_position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", name="pk_stream_heads"),
    )
    op.create_table(
        "platform_states",
        sa.Column("stream_id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.LargeBinary, nullable=False),
        sa.Column("state", _DOCUMENT, nullable=False),
        sa.Column("fold_version", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", name="pk_platform_states"),
    )
    still_open = sa.text("NOT closed")
    op.create_index(
        "ix_platform_states_due_at",
        "platform_states",
        ["due_at"],
        postgresql_where=still_open,
        sqlite_where=still_open,
    )
    op.create_index("ix_platform_states_namespace", "platform_states", ["namespace", "name"])
