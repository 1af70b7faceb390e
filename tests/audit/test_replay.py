"""Replay makes every decision again, and names the first that comes out otherwise."""

from datetime import datetime

import msgspec
import pytest

from audit.replay import batches, replay
from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.memory import InMemoryEventLog
from projections.state import PlatformState
from reconciler.core import desired
from reconciler.core.conclude import NotConvergingError, conclude
from tests.audit.operating import STREAM, Operated


@pytest.fixture(scope="module")
def operated() -> InMemoryEventLog:
    log = InMemoryEventLog()
    platform = Operated(log)
    platform.create()
    platform.settle()
    assert platform.state.phase == "Ready"
    return log


@pytest.fixture
def events(operated: InMemoryEventLog) -> list[RecordedEvent]:
    return operated.read_stream(STREAM)


def test_what_the_core_decided_it_decides_again(operated: InMemoryEventLog, events: list[RecordedEvent]) -> None:
    report = replay(events, stored=operated.load_state(STREAM))
    assert report.ok
    assert report.divergence is None
    assert report.equals_stored is True
    assert report.events == len(events)
    decisions = [event for event in events if issubclass(e.EVENT_TYPES[event.type], e.Decision)]
    assert report.decisions == len(decisions) > 20


def test_a_batch_is_one_pass_with_its_inputs_first(events: list[RecordedEvent]) -> None:
    found = list(batches(events))
    assert found[0].inputs[0] == msgspec.json.decode(events[0].payload, type=e.PlatformObserved)
    assert [batch.last_version for batch in found][-1] == events[-1].version
    assert sum(len(batch.inputs) + len(batch.decisions) for batch in found) == len(events)


def test_an_input_after_a_decision_begins_a_new_batch(events: list[RecordedEvent]) -> None:
    one_pass = [
        msgspec.structs.replace(event, correlation_id=events[0].correlation_id, occurred_at=events[0].occurred_at)
        for event in events
    ]
    # Passes that decided nothing cannot be told from the next one, and need not be.
    assert [b.decisions for b in batches(one_pass)] == [b.decisions for b in batches(events) if b.decisions]


def other_reason(state: PlatformState, now: datetime) -> tuple[PlatformState, tuple[e.Decision, ...]]:
    """A build that words one decision otherwise."""
    after, decisions = conclude(state, now)
    changed = tuple(
        msgspec.structs.replace(d, reason="Bored") if isinstance(d, e.PhaseChanged) and d.to_phase == "Ready" else d
        for d in decisions
    )
    return after, changed


def test_a_build_that_decides_otherwise_is_found_at_the_first_difference(events: list[RecordedEvent]) -> None:
    report = replay(events, decide_again=other_reason)
    assert not report.ok
    assert report.divergence is not None
    assert report.divergence.sequence == next(ev.version for ev in events if b"AllComponentsReady" in ev.payload)
    assert report.divergence.recorded is not None
    assert report.divergence.decided == msgspec.structs.replace(report.divergence.recorded, reason="Bored")


def test_a_decision_that_is_not_made_any_more_is_a_divergence(events: list[RecordedEvent]) -> None:
    report = replay(events, decide_again=lambda state, _: (state, ()))
    assert report.divergence is not None
    assert report.divergence.sequence == 3
    assert report.divergence.decided is None


def test_a_decision_that_is_new_is_a_divergence(events: list[RecordedEvent]) -> None:
    def eager(state: PlatformState, now: datetime) -> tuple[PlatformState, tuple[e.Decision, ...]]:
        after, decisions = conclude(state, now)
        return after, (*decisions, e.Paused())

    report = replay(events, decide_again=eager)
    assert report.divergence is not None
    assert report.divergence.recorded is None
    assert report.divergence.decided == e.Paused()
    assert report.divergence.sequence == next(iter(batches(events))).last_version + 1


def test_a_build_that_cannot_decide_says_where(events: list[RecordedEvent]) -> None:
    def lost(state: PlatformState, now: datetime) -> tuple[PlatformState, tuple[e.Decision, ...]]:
        raise NotConvergingError("round and round")

    report = replay(events, decide_again=lost)
    assert report.divergence is not None
    assert report.divergence.error == "round and round"


def test_a_planted_decision_is_found(events: list[RecordedEvent]) -> None:
    planted = events[9]
    assert planted.type == "PhaseChanged"
    forged = planted.payload.replace(b"PreflightPassed", b"PreflightForged")
    report = replay([*events[:9], msgspec.structs.replace(planted, payload=forged), *events[10:]])
    assert report.divergence is not None
    assert report.divergence.sequence == planted.version


def test_a_replay_stops_where_it_is_told_to(events: list[RecordedEvent]) -> None:
    report = replay(events, to_version=9)
    assert report.ok
    assert report.events < len(events)
    assert report.equals_stored is None


def test_a_stored_state_that_is_not_the_fold_is_found(operated: InMemoryEventLog, events: list[RecordedEvent]) -> None:
    stored = operated.load_state(STREAM)
    assert stored is not None
    record = msgspec.structs.replace(stored.record, state=stored.record.state.replace(b"Ready", b"Failed"))
    report = replay(events, stored=msgspec.structs.replace(stored, record=record))
    assert report.divergence is None
    assert report.equals_stored is False
    assert not report.ok


def test_the_order_of_keys_in_a_spec_changes_no_decision() -> None:
    """What was seen live has the user's order of keys; what is read from the log has them sorted."""
    log = InMemoryEventLog()
    platform = Operated(log)
    job = {"job_name": "shop", "static_configs": [{"targets": ["shop:8080"], "labels": {"team": "checkout"}}]}
    platform.create({"components": {"prometheus": {"enabled": True, "additionalScrapeConfigs": [job]}}})
    platform.settle()
    # Another process has rendered nothing yet.
    desired._objects.cache_clear()
    desired._rendered.cache_clear()
    assert replay(log.read_stream(STREAM)).divergence is None
