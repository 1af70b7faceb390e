"""Questions to the read models: pages by key, parameters bound, never the whole table unless it is small by nature.

Answers are as new as the read models are: ask `ProjectionRunner.wait_for` first for what was appended just now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, Table, func, select

from eventstore.vocabulary import Phase
from projections.actions import ActionOutcome, ActionRow
from projections.component_health import ComponentHealthRow, ComponentTransitionRow
from projections.contract import Row
from projections.tables import actions as actions_table
from projections.tables import component_health as health_table
from projections.tables import component_history as component_history_table
from projections.tables import transition_history as transitions_table
from projections.transition_history import TransitionRow

#: Rows per page, at most.
PAGE_ROWS_MAX = 1000

RowType = TypeVar("RowType", bound=Row)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Which platforms and which time are asked about; what is None does not matter."""

    namespace: str | None = None
    name: str | None = None
    #: One resource's uid: tells resources apart that had the same name one after the other.
    stream_id: str | None = None
    #: When it happened, by the clock of the decision; `since` included, `until` not.
    since: datetime | None = None
    until: datetime | None = None


class Page(msgspec.Struct, Generic[RowType], frozen=True):
    """Some rows, in the order asked for."""

    rows: list[RowType]
    #: Pass it as `after` to get the next page; None: this was the last one.
    after: int | None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How long platforms were in trouble: from entering Failed to the next time they were Ready."""

    recovered: int
    #: Failed now, and not Ready since.
    still_failed: int
    #: Over those that recovered; None if there were none.
    mean_seconds: float | None
    longest_seconds: float | None


class FailureCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often requests failed for one reason."""

    category: str
    reason: str
    count: int
    last_at: datetime


ANYTHING = About()


def transitions(
    engine: Engine,
    about: About = ANYTHING,
    *,
    reason: str | None = None,
    to_phase: str | None = None,
    after: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Page[TransitionRow]:
    """Phase changes of platforms, in the order of the log."""
    t = transitions_table.c
    wanted = _about(transitions_table, about, t.occurred_at)
    wanted += _equal((t.reason, reason), (t.to_phase, to_phase))
    return _page(engine, TransitionRow, wanted, after, limit, newest_first)


def component_transitions(
    engine: Engine,
    about: About = ANYTHING,
    *,
    component: str | None = None,
    after: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Page[ComponentTransitionRow]:
    """Phase changes of components, in the order of the log."""
    t = component_history_table.c
    wanted = _about(component_history_table, about, t.occurred_at) + _equal((t.component, component))
    return _page(engine, ComponentTransitionRow, wanted, after, limit, newest_first)


def actions(
    engine: Engine,
    about: About = ANYTHING,
    *,
    component: str | None = None,
    outcome: ActionOutcome | None = None,
    after: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Page[ActionRow]:
    """What was asked of the cluster, in the order of the log."""
    t = actions_table.c
    wanted = _about(actions_table, about, t.requested_at)
    wanted += _equal((t.component, component), (t.outcome, outcome.value if outcome else None))
    return _page(engine, ActionRow, wanted, after, limit, newest_first)


def component_health(
    engine: Engine, about: About = ANYTHING, *, include_gone: bool = False
) -> list[ComponentHealthRow]:
    """How components are now, by platform and name; `since` and `until` ask when they entered their phase."""
    t = health_table.c
    wanted = _about(health_table, about, t.since)
    if not include_gone:
        wanted.append(t.gone_at.is_(None))
    statement = select(health_table).where(*wanted).order_by(t.namespace, t.name, t.stream_id, t.component)
    return _read(engine, ComponentHealthRow, statement)


def versions_at(engine: Engine, stream_id: str, at: datetime) -> dict[str, str]:
    """Component -> version it ran or was being brought to at that instant; components removed by then are absent."""
    t = component_history_table.c
    newest = (
        select(t.component, func.max(t.sequence).label("sequence"))
        .where(t.stream_id == stream_id, t.occurred_at <= at)
        .group_by(t.component)
        .subquery()
    )
    statement = (
        select(t.component, t.version)
        .join(newest, t.sequence == newest.c.sequence)
        .where(t.stream_id == stream_id, t.to_phase.is_not(None), t.version != "")
        .order_by(t.component)
    )
    with engine.begin() as connection:
        return {row.component: row.version for row in connection.execute(statement)}


def mean_time_to_recovery(engine: Engine, about: About = ANYTHING) -> Recovery:
    """How fast failed platforms became Ready again; `since` and `until` ask when they failed or recovered."""
    t = transitions_table.c
    wanted = _about(transitions_table, about, t.occurred_at)
    statement = (
        select(t.stream_id, t.to_phase, t.occurred_at)
        .where(*wanted, t.to_phase.in_([Phase.FAILED.value, Phase.READY.value]))
        .order_by(t.stream_id, t.sequence)
    )
    failed_at: dict[str, datetime] = {}
    took: list[float] = []
    with engine.begin() as connection:
        for stream_id, to_phase, occurred_at in connection.execute(statement):
            if to_phase == Phase.FAILED:
                failed_at.setdefault(stream_id, occurred_at)
            elif stream_id in failed_at:
                took.append((occurred_at - failed_at.pop(stream_id)).total_seconds())
    return Recovery(
        recovered=len(took),
        still_failed=len(failed_at),
        mean_seconds=sum(took) / len(took) if took else None,
        longest_seconds=max(took, default=None),
    )


def failures_by_category(engine: Engine, about: About = ANYTHING) -> list[FailureCount]:
    """Failed requests by error category and reason, most frequent first."""
    t = actions_table.c
    count = func.count()
    statement = (
        select(t.category, t.failure_reason, count, func.max(t.finished_at, type_=t.finished_at.type))
        .where(*_about(actions_table, about, t.finished_at), t.outcome == ActionOutcome.FAILED.value)
        .group_by(t.category, t.failure_reason)
        .order_by(count.desc(), t.category, t.failure_reason)
    )
    with engine.begin() as connection:
        return [
            FailureCount(category=category, reason=reason, count=number, last_at=last_at)
            for category, reason, number, last_at in connection.execute(statement)
        ]


def _about(table: Table, about: About, instant: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    c = table.c
    wanted = _equal((c.namespace, about.namespace), (c.name, about.name), (c.stream_id, about.stream_id))
    if about.since is not None:
        wanted.append(instant >= about.since)
    if about.until is not None:
        wanted.append(instant < about.until)
    return wanted


def _equal(*pairs: tuple[ColumnElement[Any], str | None]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in pairs if value is not None]


def _page(
    engine: Engine,
    kind: type[RowType],
    wanted: Sequence[ColumnElement[bool]],
    after: int | None,
    limit: int,
    newest_first: bool,
) -> Page[RowType]:
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise ValueError(f"a page has 1 to {PAGE_ROWS_MAX} rows, not {limit}")
    position = kind.table.c.position
    statement = select(kind.table).where(*wanted)
    if after is not None:
        statement = statement.where(position < after if newest_first else position > after)
    # One row more than asked for tells whether there is a next page.
    rows = _read(engine, kind, statement.order_by(position.desc() if newest_first else position).limit(limit + 1))
    more = len(rows) > limit
    del rows[limit:]
    return Page(rows, getattr(rows[-1], position.name) if more else None)


def _read(engine: Engine, kind: type[RowType], statement: Select[Any]) -> list[RowType]:
    with engine.begin() as connection:
        return [kind(**row) for row in connection.execute(statement).mappings()]
