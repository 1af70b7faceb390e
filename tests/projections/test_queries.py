"""Questions to the read models, on both databases."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from eventstore import events as e
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections import queries
from projections.actions import ActionOutcome
from projections.queries import About
from projections.runner import ProjectionRunner
from tests.projections.histories import LOKI, START, Author, component_phase, failed, observed, phase, seen

APPLY = e.ApplyRequested(ref=LOKI, component=ComponentName.LOKI, digest="sha256:m", reason="Update")


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def told(engine: Engine, log: InMemoryEventLog, author: Author) -> Engine:
    """`prod` fails twice and recovers once (seconds 4 to 6 and 8), `dev` never fails."""
    author.tell(
        "uid-prod",
        observed("prod"),  # second 1
        phase(Phase.PENDING),
        phase(Phase.READY, Phase.INSTALLING, Trigger.ALL_COMPONENTS_READY),
        phase(Phase.FAILED, Phase.READY, Trigger.HEALTH_CHECK_FAILED, reason="ComponentUnhealthy"),
        phase(Phase.INSTALLING, Phase.FAILED, Trigger.RETRY_FIX),
        phase(Phase.READY, Phase.INSTALLING, Trigger.ALL_COMPONENTS_READY),
        component_phase(ComponentPhase.READY, version="3.5.0"),
        phase(Phase.FAILED, Phase.READY, Trigger.HEALTH_CHECK_FAILED, reason="ComponentUnhealthy"),
        component_phase(ComponentPhase.UPGRADING, ComponentPhase.READY, version="3.6.0"),  # second 9
        component_phase(ComponentPhase.READY, version="2.8.0", name=ComponentName.TEMPO),
        e.ComponentRemoved(component=ComponentName.LOKI),  # second 11
    )
    author.tell(
        "uid-dev",
        observed("dev", "playground"),  # second 12
        phase(Phase.PENDING),
        APPLY,
        failed(3),
        APPLY,
        failed(5),
        APPLY,
        failed(7, ErrorCategory.RESOURCE),
        APPLY,
        e.ActionSucceeded(request=9, ref=LOKI),
        APPLY,
        component_phase(ComponentPhase.READY),
        seen(0, "3.5.0", e.Problem(reason="CrashLoopBackOff")),
    )
    ProjectionRunner(log, engine).catch_up()
    return engine


def test_transitions_come_in_the_order_of_the_log(told: Engine) -> None:
    page = queries.transitions(told, About(namespace="monitoring", name="prod"))
    assert [row.to_phase for row in page.rows] == ["Pending", "Ready", "Failed", "Installing", "Ready", "Failed"]
    assert page.after is None
    assert page.rows[0].occurred_at == at(2)


def test_transitions_can_be_asked_for_by_reason_phase_stream_and_time(told: Engine) -> None:
    assert len(queries.transitions(told, reason="ComponentUnhealthy").rows) == 2
    assert len(queries.transitions(told, to_phase="Pending").rows) == 2
    assert len(queries.transitions(told, About(stream_id="uid-dev")).rows) == 1
    window = About(since=START + timedelta(seconds=3), until=START + timedelta(seconds=5))
    assert [row.to_phase for row in queries.transitions(told, window).rows] == ["Ready", "Failed"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_together_hold_every_row_once(told: Engine, newest_first: bool) -> None:
    whole = queries.transitions(told, newest_first=newest_first).rows
    pages, after = [], None
    while True:
        page = queries.transitions(told, after=after, limit=3, newest_first=newest_first)
        pages.append(page.rows)
        if (after := page.after) is None:
            break
    assert [len(rows) for rows in pages] == [3, 3, 1]
    assert [row for rows in pages for row in rows] == whole
    assert whole[0].name == ("dev" if newest_first else "prod")


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_of_no_rows_or_of_too_many_is_refused(told: Engine, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        queries.transitions(told, limit=limit)


def test_a_name_that_is_sql_is_only_a_name(told: Engine) -> None:
    assert queries.transitions(told, About(name="x' OR '1'='1")).rows == []


def test_recovery_is_timed_from_failed_to_the_next_ready(told: Engine) -> None:
    recovery = queries.mean_time_to_recovery(told)
    assert (recovery.recovered, recovery.still_failed) == (1, 1)
    assert (recovery.mean_seconds, recovery.longest_seconds) == (2.0, 2.0)
    assert queries.mean_time_to_recovery(told, About(name="dev")).mean_seconds is None


def test_failures_are_counted_by_category_and_reason(told: Engine) -> None:
    counts = queries.failures_by_category(told)
    assert [(c.category, c.reason, c.count) for c in counts] == [
        ("transient", "Timeout", 2),
        ("resource", "Timeout", 1),
    ]
    assert counts[0].last_at == at(17)


def test_actions_can_be_asked_for_by_outcome(told: Engine) -> None:
    assert [row.sequence for row in queries.actions(told, outcome=ActionOutcome.OPEN).rows] == [11]
    assert [row.sequence for row in queries.actions(told, outcome=ActionOutcome.FAILED, newest_first=True).rows] == [
        7,
        5,
        3,
    ]
    assert queries.actions(told, component="tempo").rows == []


def test_versions_are_those_of_the_instant_asked_for(told: Engine) -> None:
    assert queries.versions_at(told, "uid-prod", START + timedelta(seconds=6)) == {}
    assert queries.versions_at(told, "uid-prod", START + timedelta(seconds=8)) == {"loki": "3.5.0"}
    assert queries.versions_at(told, "uid-prod", START + timedelta(seconds=10)) == {"loki": "3.6.0", "tempo": "2.8.0"}
    assert queries.versions_at(told, "uid-prod", START + timedelta(seconds=11)) == {"tempo": "2.8.0"}


def test_component_health_leaves_out_what_is_gone_unless_asked(told: Engine) -> None:
    assert [(row.name, row.component) for row in queries.component_health(told)] == [
        ("prod", "tempo"),
        ("dev", "loki"),
    ]
    assert len(queries.component_health(told, include_gone=True)) == 3
    (loki,) = queries.component_health(told, About(name="dev"))
    assert "CrashLoopBackOff" in loki.problems


def test_component_transitions_can_be_asked_for_by_component(told: Engine) -> None:
    page = queries.component_transitions(told, About(name="prod"), component="loki")
    assert [row.to_phase for row in page.rows] == ["Ready", "Upgrading", None]
    assert page.rows[1].took_seconds == 2.0
