"""Rebuilding beside what is live: what differs is named exactly, and put right in one step."""

import threading
from itertools import islice
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, delete, event, insert, update

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent, StateRecord
from eventstore.events import Event
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import Phase, Trigger
from projections.engines import engine_for
from projections.platform import fold, initial
from projections.read_models import READ_MODELS, read_model
from projections.rebuild import RebuildInterruptedError, _Build, rebuild
from projections.rebuild_states import rebuild_states
from projections.runner import ProjectionRunner
from projections.state import FOLD_VERSION, PlatformState
from projections.tables import (
    READ_MODEL_TABLES,
    actions,
    projection_cursors,
    shadow_of,
    transition_history,
)
from tests.projections.histories import Author, fill, life, observed, phase
from tests.projections.reading import everything, rows

NAMES = [model.name for model in READ_MODELS]


@pytest.fixture
def caught_up(engine: Engine, log: InMemoryEventLog, author: Author) -> Engine:
    """Read models that are up with a log of 90 events."""
    fill(author, streams=3, events_each=30)
    ProjectionRunner(log, engine).catch_up()
    return engine


@pytest.mark.parametrize("name", NAMES)
def test_what_is_right_is_found_identical(caught_up: Engine, log: InMemoryEventLog, name: str) -> None:
    report = rebuild(log, caught_up, name)
    assert (report.identical, report.differing, report.differences, report.applied) == (True, 0, [], False)
    assert report.position == 90
    assert report.rows > 0
    assert report.seconds > 0


@pytest.mark.parametrize("name", NAMES)
def test_swapping_what_is_identical_changes_nothing(caught_up: Engine, log: InMemoryEventLog, name: str) -> None:
    before = everything(caught_up)
    assert rebuild(log, caught_up, name, apply=True).applied
    assert everything(caught_up) == before
    assert ProjectionRunner(log, caught_up).catch_up() == 0


def test_nothing_is_left_in_the_twins(caught_up: Engine, log: InMemoryEventLog) -> None:
    for name in NAMES:
        rebuild(log, caught_up, name)
    assert [rows(caught_up, shadow_of(table)) for table in READ_MODEL_TABLES] == [[]] * len(READ_MODEL_TABLES)


class TestPlantedFaults:
    def test_a_wrong_value_is_named_with_key_and_column_and_swapped_only_when_asked(
        self, caught_up: Engine, log: InMemoryEventLog
    ) -> None:
        before = everything(caught_up)
        with caught_up.begin() as connection:
            connection.execute(
                update(transition_history)
                .where(transition_history.c.stream_id == "uid-1", transition_history.c.sequence == 2)
                .values(reason="Tampered", took_seconds=7.5)
            )
        report = rebuild(log, caught_up, "transition_history")
        (found,) = report.differences
        assert (report.identical, report.differing, found.table) == (False, 1, "transition_history")
        assert (found.kind, found.key) == ("different", {"stream_id": "uid-1", "sequence": 2})
        assert found.columns == {"reason": ("Tampered", "R"), "took_seconds": (7.5, None)}
        assert everything(caught_up) != before
        assert rebuild(log, caught_up, "transition_history", apply=True).differing == 1
        assert everything(caught_up) == before
        assert rebuild(log, caught_up, "transition_history").identical

    def test_a_row_too_few_and_a_row_too_many_are_told_apart(self, caught_up: Engine, log: InMemoryEventLog) -> None:
        before = rows(caught_up, actions)
        with caught_up.begin() as connection:
            connection.execute(
                delete(actions).where(
                    actions.c.stream_id == before[0]["stream_id"], actions.c.sequence == before[0]["sequence"]
                )
            )
            connection.execute(insert(actions).values({**before[1], "sequence": 9999}))
        report = rebuild(log, caught_up, "actions", apply=True)
        assert sorted((found.kind, found.key["sequence"]) for found in report.differences) == [
            ("missing", before[0]["sequence"]),
            ("unexpected", 9999),
        ]
        assert rows(caught_up, actions) == before

    def test_a_wrong_memory_is_found_before_it_makes_a_wrong_row(
        self, caught_up: Engine, log: InMemoryEventLog
    ) -> None:
        with caught_up.begin() as connection:
            connection.execute(update(projection_cursors).values(version=projection_cursors.c.version - 1))
        report = rebuild(log, caught_up, "component_health", apply=True)
        assert {(found.table, found.kind) for found in report.differences} == {("projection_cursors", "different")}
        assert rebuild(log, caught_up, "component_health").identical

    def test_the_first_twenty_are_listed_and_all_are_counted(self, engine: Engine, log: InMemoryEventLog) -> None:
        Author(log).tell("uid-1", observed(), *[phase(Phase.READY, Phase.READY, Trigger.MINOR_UPDATE)] * 30)
        ProjectionRunner(log, engine).catch_up()
        with engine.begin() as connection:
            connection.execute(update(transition_history).values(message="?"))
        report = rebuild(log, engine, "transition_history")
        assert (report.differing, len(report.differences)) == (30, 20)
        assert [found.key["sequence"] for found in report.differences] == list(range(2, 22))


class TestMeanwhile:
    def test_appends_and_catching_up_go_on_during_a_rebuild(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        fill(author, streams=3, events_each=200)
        runner = ProjectionRunner(log, engine, page_size=20)
        runner.catch_up()
        over = threading.Event()

        def live() -> None:
            story, number = life(99), 0
            while not over.is_set() and number < 2000:
                author.tell("uid-busy", *islice(story, 3))
                runner.catch_up()
                number += 1

        thread = threading.Thread(target=live)
        thread.start()
        try:
            reports = [rebuild(log, engine, name, apply=True) for name in NAMES * 2]
        finally:
            over.set()
            thread.join(60)
        assert [(report.projection, report.differences) for report in reports if not report.identical] == []
        runner.catch_up()
        fresh = engine_for("memory://")
        ProjectionRunner(log, fresh).catch_up()
        assert everything(engine) == everything(fresh)

    def test_what_is_appended_after_the_swap_is_caught_up_with(
        self, caught_up: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        rebuild(log, caught_up, "transition_history", apply=True)
        author.tell("uid-new", observed("new"), phase(Phase.PENDING))
        assert ProjectionRunner(log, caught_up).catch_up() == 2 * len(READ_MODELS)

    def test_dying_in_the_middle_of_the_swap_leaves_what_was_there(
        self, caught_up: Engine, log: InMemoryEventLog
    ) -> None:
        before = everything(caught_up)

        def die(*arguments: Any) -> None:
            if arguments[2].startswith("INSERT INTO transition_history ("):
                raise KeyboardInterrupt

        event.listen(caught_up, "before_cursor_execute", die)
        with pytest.raises(KeyboardInterrupt):
            rebuild(log, caught_up, "transition_history", apply=True)
        event.remove(caught_up, "before_cursor_execute", die)
        assert everything(caught_up) == before
        assert rebuild(log, caught_up, "transition_history", apply=True).identical

    def test_a_second_rebuild_of_the_same_read_model_makes_the_first_give_way(
        self, caught_up: Engine, log: InMemoryEventLog
    ) -> None:
        before = everything(caught_up)
        begun = False

        def decode_while_another_rebuild_runs(recorded: RecordedEvent) -> Event:
            nonlocal begun
            if not begun:
                begun = True
                assert rebuild(log, caught_up, "transition_history", apply=True).identical
            return decode(recorded)

        with pytest.raises(RebuildInterruptedError):
            rebuild(log, caught_up, "transition_history", apply=True, decode=decode_while_another_rebuild_runs)
        assert everything(caught_up) == before


def test_rebuilding_what_never_ran_builds_it(engine: Engine, log: InMemoryEventLog, author: Author) -> None:
    author.tell("uid-1", observed(), phase(Phase.PENDING))
    report = rebuild(log, engine, "transition_history", apply=True)
    assert (report.position, report.identical) == (0, True)
    ProjectionRunner(log, engine).catch_up()
    assert len(rows(engine, transition_history)) == 1


class TestStoredStates:
    @pytest.fixture
    def stored(self, log: InMemoryEventLog, author: Author) -> InMemoryEventLog:
        """Two streams with the states that belong to them."""
        fill(author, streams=2, events_each=10)
        for stream_id in log.stream_ids():
            state = fold(initial(stream_id), log.read_stream(stream_id))
            assert log.store_state(stream_id, state.version, record_of(state))
        return log

    def test_that_are_the_fold_of_their_streams_are_identical(self, stored: InMemoryEventLog) -> None:
        report = rebuild_states(stored)
        assert (report.projection, report.identical, report.rows, report.position) == ("platform_states", True, 2, 20)

    def test_that_are_not_are_named_with_the_fields_that_differ_and_replaced_when_asked(
        self, stored: InMemoryEventLog
    ) -> None:
        state = fold(initial("uid-1"), stored.read_stream("uid-1"))
        wrong = msgspec.structs.replace(state, name="other", paused=True)
        stored.store_state("uid-1", state.version, record_of(wrong))
        report = rebuild_states(stored)
        (found,) = report.differences
        assert (found.key, found.kind) == ({"stream_id": "uid-1", "version": 10}, "different")
        assert found.columns == {
            "name": ("other", "platform-1"),
            "state.name": ("other", "platform-1"),
            "state.paused": (True, False),
        }
        assert rebuild_states(stored, record_of=record_of).applied
        assert rebuild_states(stored).identical

    def test_that_lag_behind_their_stream_are_compared_at_their_own_version(
        self, stored: InMemoryEventLog, author: Author
    ) -> None:
        author.tell("uid-1", phase(Phase.FAILED, Phase.READY, Trigger.HEALTH_CHECK_FAILED))
        assert rebuild_states(stored).identical

    def test_that_are_missing_are_named_and_made(self, stored: InMemoryEventLog, author: Author) -> None:
        author.tell("uid-new", observed("new"))
        assert [(d.key["stream_id"], d.kind) for d in rebuild_states(stored).differences] == [("uid-new", "missing")]
        rebuild_states(stored, record_of=record_of)
        assert rebuild_states(stored).identical

    def test_of_streams_this_build_cannot_read_are_named_and_left_alone(
        self, stored: InMemoryEventLog, author: Author
    ) -> None:
        author.append("uid-odd", [author.stranger()])
        stored.store_state("uid-odd", 1, record_of(initial("uid-odd")))
        (found,) = rebuild_states(stored, record_of=record_of).differences
        assert found.kind == "unreadable"
        assert "MoonPhaseObserved" in found.columns["events"][1]


def record_of(state: PlatformState) -> StateRecord:
    return StateRecord(
        state=msgspec.json.encode(state),
        fold_version=FOLD_VERSION,
        namespace=state.namespace,
        name=state.name,
        phase=state.phase.value if state.phase else "",
        due_at=None,
        closed=state.closed,
    )


class TestBetweenTheSteps:
    def test_the_swap_does_not_go_back_behind_what_was_caught_up_with_since_the_comparison(
        self, caught_up: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        build = _Build(log, caught_up, read_model("transition_history"), decode)
        build.begin()
        build.compare_with_live()
        author.tell("uid-new", observed("new"), phase(Phase.PENDING))
        ProjectionRunner(log, caught_up).catch_up()
        before = everything(caught_up)
        build.swap()
        assert everything(caught_up) == before
        assert ProjectionRunner(log, caught_up).lag()["transition_history"] == 0

    def test_a_build_whose_twins_were_taken_over_swaps_nothing(self, caught_up: Engine, log: InMemoryEventLog) -> None:
        build = _Build(log, caught_up, read_model("transition_history"), decode)
        build.begin()
        build.compare_with_live()
        before = everything(caught_up)
        assert rebuild(log, caught_up, "transition_history").identical
        with pytest.raises(RebuildInterruptedError):
            build.swap()
        assert everything(caught_up) == before
