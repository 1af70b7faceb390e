"""What the read models make of events: pure folds, no database."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import events as e
from eventstore.codec import decode
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections.actions import OPEN_REQUESTS_MAX, ActionRow
from projections.component_health import ComponentHealthRow, ComponentTransitionRow
from projections.contract import ReadModel, Row
from projections.folding import PageFold, decode_page, fold_page
from projections.read_models import READ_MODELS, read_model
from projections.transition_history import TransitionRow
from tests.projections.histories import LOKI, Author, component_phase, failed, life, observed, phase, seen


def folded(name: str, *events: e.Event) -> PageFold:
    log = InMemoryEventLog()
    Author(log).tell("uid-1", *events)
    return fold_page(read_model(name), {}, (), decode_page(log.read_all(), decode))


def rows_of(fold: PageFold, kind: type[Row]) -> list[Any]:
    return list(fold.rows.get(kind.table, {}).values())


@pytest.mark.parametrize("kind", [TransitionRow, ComponentHealthRow, ComponentTransitionRow, ActionRow])
def test_a_row_has_the_columns_of_its_table_in_their_order(kind: type[Row]) -> None:
    assert list(kind.__struct_fields__) == list(kind.table.columns.keys())


def test_a_phase_change_becomes_a_row_that_knows_how_long_the_phase_before_lasted() -> None:
    fold = folded(
        "transition_history", observed(), phase(Phase.PENDING), seen(), phase(Phase.INSTALLING, Phase.PENDING)
    )
    first, second = rows_of(fold, TransitionRow)
    assert (first.from_phase, first.to_phase, first.took_seconds) == (None, "Pending", None)
    assert (second.from_phase, second.to_phase, second.took_seconds) == ("Pending", "Installing", 2.0)
    assert (second.stream_id, second.sequence, second.namespace, second.name) == ("uid-1", 4, "monitoring", "prod")
    assert second.actor == "stackledger/epoch-1"


def test_a_transition_carries_the_hash_of_its_event() -> None:
    log = InMemoryEventLog()
    Author(log).tell("uid-1", observed(), phase(Phase.PENDING))
    fold = fold_page(read_model("transition_history"), {}, (), decode_page(log.read_all(), decode))
    assert rows_of(fold, TransitionRow)[0].event_hash == log.read_stream("uid-1")[1].hash.hex()


def test_component_health_shows_what_was_seen_last() -> None:
    crash = e.Problem(reason="CrashLoopBackOff", subject="Pod/prod-loki-0")
    fold = folded(
        "component_health",
        observed(),
        e.SpecAccepted(generation=1, digest="d", versions={"loki": "3.6.0"}),
        component_phase(ComponentPhase.INSTALLING, version="3.6.0"),
        seen(1, "3.5.0"),
        seen(0, "", crash),
    )
    (loki,) = rows_of(fold, ComponentHealthRow)
    assert (loki.component, loki.phase, loki.desired_version, loki.running_version) == (
        "loki",
        "Installing",
        "3.6.0",
        "",
    )
    assert (loki.ready_replicas, loki.desired_replicas, loki.sequence) == (0, 1, 5)
    assert "CrashLoopBackOff" in loki.problems
    assert loki.gone_at is None


def test_component_history_keeps_every_phase_change_and_the_removal() -> None:
    fold = folded(
        "component_health",
        observed(),
        component_phase(ComponentPhase.INSTALLING, version="3.5.0"),
        component_phase(ComponentPhase.READY, ComponentPhase.INSTALLING, "3.5.0"),
        e.ComponentRemoved(component=ComponentName.LOKI),
    )
    history = rows_of(fold, ComponentTransitionRow)
    assert [(row.from_phase, row.to_phase, row.took_seconds) for row in history] == [
        (None, "Installing", None),
        ("Installing", "Ready", 1.0),
        ("Ready", None, 1.0),
    ]
    assert rows_of(fold, ComponentHealthRow)[0].gone_at is not None


def test_components_of_a_deleted_platform_stay_and_are_marked_as_gone() -> None:
    fold = folded(
        "component_health",
        observed(),
        component_phase(ComponentPhase.READY),
        e.FinalizerReleaseRequested(),
        e.FinalizerReleased(request=3),
    )
    (loki,) = rows_of(fold, ComponentHealthRow)
    assert loki.phase == "Ready"
    assert loki.gone_at is not None


def test_a_component_that_comes_back_is_no_longer_gone() -> None:
    fold = folded(
        "component_health",
        observed(),
        component_phase(ComponentPhase.READY),
        e.ComponentRemoved(component=ComponentName.LOKI),
        component_phase(ComponentPhase.INSTALLING),
    )
    assert rows_of(fold, ComponentHealthRow)[0].gone_at is None


APPLY = e.ApplyRequested(ref=LOKI, component=ComponentName.LOKI, digest="sha256:m", reason="Update")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (e.ActionSucceeded(request=2, ref=LOKI, changed=False), ("Succeeded", False, "", "")),
        (failed(2, ErrorCategory.RESOURCE), ("Failed", None, "resource", "no answer in 30 s")),
        (e.RequestSuperseded(request=2, ref=LOKI), ("Superseded", None, "", "")),
        (e.DriftCorrected(request=2, ref=LOKI), ("Succeeded", True, "", "")),
    ],
)
def test_a_request_is_closed_by_its_outcome(outcome: e.Event, expected: tuple[object, ...]) -> None:
    (row,) = rows_of(folded("actions", observed(), APPLY, outcome), ActionRow)
    assert (row.outcome, row.changed, row.category, row.message) == expected
    assert (row.sequence, row.outcome_sequence, row.duration_seconds) == (2, 3, 1.0)
    assert (row.verb, row.kind, row.object_name, row.component) == ("Apply", "StatefulSet", "prod-loki", "loki")


def test_a_request_without_an_outcome_is_open() -> None:
    (row,) = rows_of(folded("actions", observed(), APPLY), ActionRow)
    assert (row.outcome, row.finished_at, row.duration_seconds) == ("open", None, None)


def test_the_first_outcome_of_a_request_counts() -> None:
    fold = folded("actions", observed(), APPLY, e.ActionSucceeded(request=2, ref=LOKI), failed(2))
    assert rows_of(fold, ActionRow)[0].outcome == "Succeeded"


def test_finalizer_requests_are_actions_on_the_platform_itself() -> None:
    fold = folded(
        "actions",
        observed(),
        e.FinalizerAddRequested(),
        e.FinalizerAdded(request=2),
        e.FinalizerReleaseRequested(),
        e.FinalizerReleased(request=4),
    )
    assert [(row.verb, row.kind, row.object_name, row.outcome) for row in rows_of(fold, ActionRow)] == [
        ("AddFinalizer", "ObservabilityPlatform", "prod", "Succeeded"),
        ("ReleaseFinalizer", "ObservabilityPlatform", "prod", "Succeeded"),
    ]


def test_requests_that_are_never_answered_do_not_grow_the_memo_without_end() -> None:
    log = InMemoryEventLog()
    author = Author(log)
    author.tell("uid-1", observed())
    author.tell("uid-1", *[APPLY] * (OPEN_REQUESTS_MAX - 1))
    author.tell("uid-1", *[APPLY] * 10)
    page = decode_page(log.read_all(0, 5000), decode)
    fold = fold_page(read_model("actions"), {}, (), page)
    assert len(fold.cursors["uid-1"].memo.open) == OPEN_REQUESTS_MAX
    assert len(rows_of(fold, ActionRow)) == OPEN_REQUESTS_MAX + 9


@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 59)))
def test_every_way_to_cut_the_log_into_pages_leads_to_the_same_rows(seed: int, cuts: set[int]) -> None:
    log = InMemoryEventLog()
    Author(log).tell("uid-1", *islice(life(seed), 60))
    page = decode_page(log.read_all(), decode)
    for model in READ_MODELS:
        whole = fold_page(model, {}, (), page)
        rows, cursors = in_pieces(model, page, sorted(cuts))
        assert rows == whole.rows
        assert cursors == whole.cursors


def in_pieces(model: ReadModel, page: Sequence[Any], cuts: list[int]) -> tuple[Any, Any]:
    rows: dict[Any, Any] = {}
    cursors: dict[str, Any] = {}
    for start, end in zip([0, *cuts], [*cuts, len(page)], strict=True):
        fold = fold_page(model, cursors, (), page[start:end])
        cursors |= fold.cursors
        for table, changed in fold.rows.items():
            rows.setdefault(table, {}).update(changed)
    return rows, cursors


def test_an_event_that_was_folded_before_is_passed_over() -> None:
    log = InMemoryEventLog()
    Author(log).tell("uid-1", observed(), phase(Phase.PENDING))
    page = decode_page(log.read_all(), decode)
    model = read_model("transition_history")
    first = fold_page(model, {}, (), page)
    again = fold_page(model, first.cursors, (), page)
    assert (again.folded, again.rows, again.cursors, again.poisons) == (0, {}, {}, {})


def test_a_missing_version_stops_the_stream() -> None:
    log = InMemoryEventLog()
    Author(log).tell(
        "uid-1", observed(), phase(Phase.PENDING), phase(Phase.FAILED, Phase.PENDING, Trigger.VALIDATION_ERROR)
    )
    page = decode_page([event for event in log.read_all() if event.version != 2], decode)
    fold = fold_page(read_model("transition_history"), {}, (), page)
    assert fold.poisons["uid-1"].reason == "SequenceGap"
    assert "version 2" in fold.poisons["uid-1"].message
    assert fold.rows == {}


def test_an_unknown_read_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="transition_history, component_health, actions"):
        read_model("transitions")
