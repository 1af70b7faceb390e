"""Histories as rows."""

import msgspec
import pytest

from audit.history import Filter, Row, RowBuilder, select
from audit.wording import summary
from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.memory import InMemoryEventLog
from projections.platform import fold, initial
from tests.audit.recording import PROD, Recorder, at


@pytest.fixture
def rows(events: list[RecordedEvent]) -> list[Row]:
    return RowBuilder().rows(events)


def test_transitions_are_shown_unless_every_event_is_asked_for(rows: list[Row]) -> None:
    assert [row.sequence for row in select(rows, Filter())] == [3, 7, 13, 17, 24]
    assert len(select(rows, Filter(every_event=True))) == 26


def test_a_transition_is_by_whoever_edited_the_resource_and_otherwise_by_the_operator(rows: list[Row]) -> None:
    assert [row.by for row in select(rows, Filter())] == [
        "kubectl-client-side-apply",
        "stackledger/epoch-4",
        "stackledger/epoch-4",
        "argocd-controller",
        "stackledger/epoch-4",
    ]


def test_only_phases_of_work_have_a_duration(rows: list[Row]) -> None:
    assert [row.took_seconds for row in select(rows, Filter())] == [None, 2.0, 123.0, None, 312.0]


def test_a_component_has_a_history_of_its_own(rows: list[Row]) -> None:
    changes = select(rows, Filter(component="grafana"))
    assert [(row.from_phase, row.to_phase) for row in changes] == [
        ("", "Installing"),
        ("Installing", "Ready"),
        ("Ready", "Upgrading"),
        ("Upgrading", "Failed"),
    ]
    everything = select(rows, Filter(component="grafana", every_event=True))
    assert [row.sequence for row in everything if row.type == "ActionSucceeded"] == [10, 21]


@pytest.mark.parametrize(
    ("wanted", "sequences"),
    [
        (Filter(reason="versionchanged"), [17]),
        (Filter(reason="RetryScheduled", every_event=True), [25]),
        (Filter(by="argocd-controller"), [17]),
        (Filter(since=at("10:00:00")), [17, 24]),
        (Filter(until=at("09:00:02")), [3, 7]),
        (Filter(since=at("09:01:00"), until=at("10:16:00")), [13, 17]),
        (Filter(reason="Nothing"), []),
    ],
)
def test_filters_leave_what_they_ask_for(rows: list[Row], wanted: Filter, sequences: list[int]) -> None:
    assert [row.sequence for row in select(rows, wanted)] == sequences


def test_rows_of_a_followed_stream_are_the_rows_of_the_whole(events: list[RecordedEvent], rows: list[Row]) -> None:
    builder = RowBuilder()
    assert [*builder.rows(events[:11]), *builder.rows(events[11:])] == rows


def test_an_event_of_a_newer_build_is_shown_as_unreadable_and_hides_nothing(events: list[RecordedEvent]) -> None:
    strange = msgspec.structs.replace(events[4], type="MoonPhaseObserved")
    rows = RowBuilder().rows([*events[:4], strange, *events[5:]])
    shown = select(rows, Filter())
    assert [row.sequence for row in shown] == [3, 5, 7, 13, 17, 24]
    assert "MoonPhaseObserved" in shown[1].unreadable


def test_every_event_type_can_be_said_in_one_line(events: list[RecordedEvent], rows: list[Row]) -> None:
    assert rows[21].summary == (
        "grafana 10.2.0 0/1 ready, rolling out; Pod/prod-grafana-0 ImagePullBackOff: "
        "grafana/grafana:99.0.0: manifest unknown"
    )
    assert summary(e.Paused()) == ""
    assert summary(e.LedgerReset(lost_sequence=4)) == "lost_sequence=4"


def test_the_end_of_a_platform_is_part_of_its_history(log: InMemoryEventLog, events: list[RecordedEvent]) -> None:
    prod = Recorder(log, PROD)
    prod.state = fold(initial(PROD), events)
    prod.record("12:00:00", e.DeletionRequested(requested_at=at("12:00:00")), e.FinalizerReleaseRequested())
    prod.record("12:00:05", e.FinalizerReleased(request=28))
    rows = select(RowBuilder().rows(log.read_stream(PROD)), Filter())
    assert [row.type for row in rows[-2:]] == ["DeletionRequested", "FinalizerReleased"]
