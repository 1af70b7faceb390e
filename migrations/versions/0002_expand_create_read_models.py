"""Create the read models with their twins for rebuilds, and the checkpoints of the projections."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.TIMESTAMP(timezone=True).with_variant(sa.BigInteger, "sqlite")


def upgrade() -> None:
    """Each read model twice: what is live, and where a rebuild builds."""
    _create_twice("transition_history", ["stream_id", "sequence"], _transition_history)
    _create_twice("component_health", ["stream_id", "component"], _component_health)
    _create_twice("component_history", ["stream_id", "sequence"], _component_history)
    _create_twice("actions", ["stream_id", "sequence"], _actions)
    op.create_table(
        "projection_checkpoints",
        _text("projection"),
        sa.Column("version", sa.Integer, nullable=False),
        _number("position"),
        _number("revision"),
        _text("event_hash"),
        _instant("recorded_at", nullable=True),
        sa.PrimaryKeyConstraint("projection", name="pk_projection_checkpoints"),
    )
    op.create_table(
        "projection_cursors",
        _text("projection"),
        _text("stream_id"),
        _number("version"),
        _text("memo"),
        sa.PrimaryKeyConstraint("projection", "stream_id", name="pk_projection_cursors"),
    )
    op.create_table(
        "projection_quarantine",
        _text("projection"),
        _text("stream_id"),
        _number("version"),
        _number("position"),
        _text("event_type"),
        _text("reason"),
        _text("message"),
        sa.PrimaryKeyConstraint("projection", "stream_id", name="pk_projection_quarantine"),
    )


def _create_twice(name: str, key: list[str], columns: Callable[[], list[sa.Column[Any]]]) -> None:
    for table in (name, f"{name}__rebuild"):
        op.create_table(table, *columns(), sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"))
    op.create_index(f"ix_{name}_namespace", name, ["namespace", "name", "position"])
    op.create_index(f"ix_{name}_position", name, ["position"])


def _transition_history() -> list[sa.Column[Any]]:
    return [
        _text("stream_id"),
        _number("sequence"),
        _number("position"),
        _text("namespace"),
        _text("name"),
        _text("from_phase", nullable=True),
        _text("to_phase"),
        _text("trigger"),
        _text("reason"),
        _text("message"),
        _number("generation"),
        _text("actor"),
        _instant("occurred_at"),
        _instant("recorded_at"),
        sa.Column("took_seconds", sa.Float, nullable=True),
        _text("event_id"),
        _text("event_hash"),
    ]


def _component_health() -> list[sa.Column[Any]]:
    return [
        _text("stream_id"),
        _text("component"),
        _number("sequence"),
        _number("position"),
        _text("namespace"),
        _text("name"),
        _text("phase", nullable=True),
        _instant("since", nullable=True),
        _text("reason"),
        _text("message"),
        _text("desired_version"),
        _text("running_version"),
        sa.Column("desired_replicas", sa.Integer, nullable=False),
        sa.Column("ready_replicas", sa.Integer, nullable=False),
        _text("problems"),
        _instant("observed_at", nullable=True),
        _instant("gone_at", nullable=True),
    ]


def _component_history() -> list[sa.Column[Any]]:
    return [
        _text("stream_id"),
        _number("sequence"),
        _number("position"),
        _text("namespace"),
        _text("name"),
        _text("component"),
        _text("from_phase", nullable=True),
        _text("to_phase", nullable=True),
        _text("reason"),
        _text("message"),
        _text("version"),
        _instant("occurred_at"),
        _instant("recorded_at"),
        sa.Column("took_seconds", sa.Float, nullable=True),
    ]


def _actions() -> list[sa.Column[Any]]:
    return [
        _text("stream_id"),
        _number("sequence"),
        _number("position"),
        _text("namespace"),
        _text("name"),
        _text("verb"),
        _text("api_version"),
        _text("kind"),
        _text("object_name"),
        _text("component"),
        _text("digest"),
        _text("reason"),
        _instant("requested_at"),
        _text("outcome"),
        _number("outcome_sequence", nullable=True),
        _instant("finished_at", nullable=True),
        sa.Column("duration_seconds", sa.Float, nullable=True),
        sa.Column("changed", sa.Boolean, nullable=True),
        _text("category"),
        _text("failure_reason"),
        _text("message"),
    ]


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _INSTANT, nullable=nullable)
