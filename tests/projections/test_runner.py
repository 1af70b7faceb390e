"""The runner against real databases: nothing lost, nothing counted twice, nothing stopped that need not be."""

import threading
import time
from itertools import islice
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, event, update

from eventstore import events as e
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import StoreUnavailableError
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import Phase, Trigger
from projections.engines import engine_for
from projections.read_models import READ_MODELS
from projections.runner import Incident, IncidentKind, ProjectionRunner
from projections.tables import (
    projection_checkpoints,
    projection_cursors,
    projection_quarantine,
    transition_history,
)
from projections.transition_history import TransitionHistory
from tests.projections.histories import Author, fill, life, observed, phase
from tests.projections.reading import everything, rows


def from_zero(log: InMemoryEventLog) -> dict[str, list[dict[str, object]]]:
    """What the tables must hold: folded in one go, in another database."""
    engine = engine_for("memory://")
    ProjectionRunner(log, engine, page_size=100_000).catch_up()
    return everything(engine)


class TestCatchingUp:
    def test_all_that_is_in_the_log_is_folded(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        fill(author, streams=5, events_each=40)
        assert ProjectionRunner(log, engine, page_size=17).catch_up() == 200 * len(READ_MODELS)
        assert everything(engine) == from_zero(log)

    def test_a_second_time_adds_nothing(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        fill(author, streams=3, events_each=20)
        ProjectionRunner(log, engine).catch_up()
        before = everything(engine), rows(engine, projection_checkpoints)
        assert ProjectionRunner(log, engine).catch_up() == 0
        assert (everything(engine), rows(engine, projection_checkpoints)) == before

    def test_it_goes_on_where_it_stopped(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        story = life(1)
        author.tell("uid-1", *islice(story, 10))
        ProjectionRunner(log, engine).catch_up()
        author.tell("uid-1", *islice(story, 10))
        assert ProjectionRunner(log, engine).catch_up() == 10 * len(READ_MODELS)
        assert everything(engine) == from_zero(log)

    def test_an_empty_log_is_caught_up_with(self, engine: Engine, log: InMemoryEventLog) -> None:
        runner = ProjectionRunner(log, engine)
        assert runner.catch_up() == 0
        assert set(runner.lag().values()) == {0}

    def test_lag_counts_the_events_that_are_missing(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        runner = ProjectionRunner(log, engine)
        author.tell("uid-1", *islice(life(1), 7))
        assert runner.lag() == {"transition_history": 7, "component_health": 7, "actions": 7}
        runner.catch_up()
        assert set(runner.lag().values()) == {0}

    def test_a_read_model_that_was_added_later_reads_from_the_start(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        fill(author, streams=2, events_each=30)
        ProjectionRunner(log, engine, READ_MODELS[:1]).catch_up()
        assert ProjectionRunner(log, engine, page_size=7).catch_up() == 60 * 2
        assert everything(engine) == from_zero(log)


class TestDying:
    @pytest.mark.parametrize("moment", ["before the rows", "before the commit"])
    def test_between_page_and_checkpoint_loses_and_repeats_nothing(
        self, engine: Engine, log: InMemoryEventLog, author: Author, moment: str
    ) -> None:
        fill(author, streams=3, events_each=30)
        pages = 0

        def die_before_the_rows(*arguments: Any) -> None:
            nonlocal pages
            pages += arguments[2].startswith("UPDATE projection_checkpoints")
            if pages == 5 and moment == "before the rows" and arguments[2].startswith("INSERT INTO"):
                raise KeyboardInterrupt

        def die_before_the_commit(_: object) -> None:
            if pages == 5 and moment == "before the commit":
                raise KeyboardInterrupt

        event.listen(engine, "before_cursor_execute", die_before_the_rows)
        event.listen(engine, "commit", die_before_the_commit)
        with pytest.raises(KeyboardInterrupt):
            ProjectionRunner(log, engine, page_size=10).catch_up()
        pages = 100
        # One of three read models has the second page, and the one that died does not.
        positions = {row["projection"]: row["position"] for row in rows(engine, projection_checkpoints)}
        assert positions == {"transition_history": 20, "component_health": 10, "actions": 10}
        ProjectionRunner(log, engine, page_size=10).catch_up()
        assert everything(engine) == from_zero(log)


class TestTwoRunners:
    def test_at_once_count_each_event_once(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        fill(author, streams=4, events_each=100)
        runners = [ProjectionRunner(log, engine, page_size=5) for _ in range(2)]
        counts = [0, 0]

        def run(number: int) -> None:
            counts[number] = runners[number].catch_up()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sum(counts) == 400 * len(READ_MODELS)
        assert everything(engine) == from_zero(log)

    def test_the_slower_one_changes_nothing(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        fill(author, streams=2, events_each=20)
        overtaken = False

        def decode_while_the_other_one_writes(recorded: RecordedEvent) -> e.Event:
            nonlocal overtaken
            if not overtaken:
                overtaken = True
                ProjectionRunner(log, engine, page_size=15).catch_up()
            return decode(recorded)

        slower = ProjectionRunner(log, engine, page_size=10, decode=decode_while_the_other_one_writes)
        assert slower.catch_up() == 0
        assert everything(engine) == from_zero(log)


class TestPoison:
    def test_stops_its_own_stream_and_no_other(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        author.tell("uid-bad", observed("bad"), phase(Phase.PENDING))
        author.append("uid-bad", [author.stranger()])
        author.tell("uid-bad", phase(Phase.INSTALLING, Phase.PENDING, Trigger.VALIDATED))
        author.tell("uid-good", observed("good"), phase(Phase.PENDING))
        incidents: list[Incident] = []
        runner = ProjectionRunner(log, engine, page_size=2, report=incidents.append)
        runner.catch_up()
        assert [(row["name"], row["to_phase"]) for row in rows(engine, transition_history)] == [
            ("bad", "Pending"),
            ("good", "Pending"),
        ]
        assert set(runner.lag().values()) == {0}
        assert [(i.projection, i.kind, i.stream_id, i.version) for i in incidents] == [
            (model.name, IncidentKind.STREAM_STOPPED, "uid-bad", 3) for model in READ_MODELS
        ]
        (poison,) = runner.stopped()["transition_history"]
        assert (poison.stream_id, poison.version, poison.event_type) == ("uid-bad", 3, "MoonPhaseObserved")
        assert poison.reason == "UnknownEventError"

    def test_stays_stopped_and_is_not_reported_again(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        author.append("uid-bad", [author.stranger()])
        ProjectionRunner(log, engine, report=lambda _: None).catch_up()
        author.tell("uid-bad", observed("bad"), phase(Phase.PENDING))
        incidents: list[Incident] = []
        assert ProjectionRunner(log, engine, report=incidents.append).catch_up() == 0
        assert incidents == []
        assert rows(engine, transition_history) == []

    def test_stops_only_the_read_model_that_trips_over_it(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        class Tripping(TransitionHistory):
            def apply(self, memo: Any, recorded: RecordedEvent, event: e.Event) -> Any:
                if isinstance(event, e.Paused):
                    raise ZeroDivisionError("1/0")
                return super().apply(memo, recorded, event)

        author.tell("uid-1", observed(), e.Paused(), phase(Phase.PENDING))
        runner = ProjectionRunner(log, engine, [Tripping(), *READ_MODELS[1:]], report=lambda _: None)
        runner.catch_up()
        assert list(runner.stopped()) == ["transition_history"]
        assert rows(engine, transition_history) == []
        behind = {row["projection"]: row["version"] for row in rows(engine, projection_cursors)}
        assert behind == {"transition_history": 1, "component_health": 3, "actions": 3}

    def test_a_build_that_knows_the_event_lets_the_stream_go_on(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        author.tell("uid-1", observed(), phase(Phase.PENDING))
        author.append("uid-1", [author.stranger()])
        author.tell("uid-1", phase(Phase.INSTALLING, Phase.PENDING, Trigger.VALIDATED))
        ProjectionRunner(log, engine, report=lambda _: None).catch_up()

        def knows_it(recorded: RecordedEvent) -> e.Event:
            return e.Paused() if recorded.type == "MoonPhaseObserved" else decode(recorded)

        incidents: list[Incident] = []
        newer = ProjectionRunner(log, engine, decode=knows_it, report=incidents.append)
        newer.catch_up()
        assert [row["to_phase"] for row in rows(engine, transition_history)] == ["Pending", "Installing"]
        assert rows(engine, projection_quarantine) == []
        assert [i.kind for i in incidents] == [IncidentKind.STREAM_RESUMED] * len(READ_MODELS)
        author.tell("uid-1", phase(Phase.READY, Phase.INSTALLING, Trigger.ALL_COMPONENTS_READY))
        newer.catch_up()
        assert len(rows(engine, transition_history)) == 3

    def test_a_text_with_a_nul_character_stops_its_stream_and_not_the_page(self, engine: Engine) -> None:
        class AlteredLog(InMemoryEventLog):
            def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
                return [
                    msgspec.structs.replace(event, payload=event.payload.replace(b"is Pending", b"is\\u0000Pending"))
                    for event in super().read_all(after_position, limit)
                ]

        log = AlteredLog()
        Author(log).tell("uid-1", observed(), phase(Phase.PENDING))
        Author(log, seed=2).tell("uid-2", observed(), phase(Phase.FAILED))
        runner = ProjectionRunner(log, engine, report=lambda _: None)
        runner.catch_up()
        assert runner.stopped()["transition_history"][0].message == "a text holds a NUL character"
        assert [row["stream_id"] for row in rows(engine, transition_history)] == ["uid-2"]


class TestAnotherLog:
    def test_a_checkpoint_ahead_of_the_log_is_dropped_and_rebuilt_with_an_alarm(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        fill(author, streams=3, events_each=30)
        ProjectionRunner(log, engine).catch_up()
        restored = InMemoryEventLog()
        fill(Author(restored), streams=2, events_each=14)
        incidents: list[Incident] = []
        runner = ProjectionRunner(restored, engine, report=incidents.append)
        assert runner.catch_up() == 28 * len(READ_MODELS)
        assert everything(engine) == from_zero(restored)
        assert [i.kind for i in incidents] == [IncidentKind.LOG_REPLACED] * len(READ_MODELS)
        assert "position 90" in incidents[0].message
        assert "head is 28" in incidents[0].message

    def test_a_log_of_the_same_length_with_another_history_is_noticed(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        author.tell("uid-1", observed(), phase(Phase.PENDING))
        ProjectionRunner(log, engine).catch_up()
        other = InMemoryEventLog()
        Author(other, seed=5).tell("uid-2", observed("other"), phase(Phase.PENDING))
        incidents: list[Incident] = []
        ProjectionRunner(other, engine, report=incidents.append).catch_up()
        assert {i.kind for i in incidents} == {IncidentKind.LOG_REPLACED}
        assert everything(engine) == from_zero(other)

    def test_an_empty_log_empties_the_read_models(self, engine: Engine, log: InMemoryEventLog, author: Author) -> None:
        author.tell("uid-1", observed(), phase(Phase.PENDING))
        ProjectionRunner(log, engine).catch_up()
        ProjectionRunner(InMemoryEventLog(), engine, report=lambda _: None).catch_up()
        assert rows(engine, transition_history) == []


class TestAnotherBuild:
    def test_rows_of_an_older_version_are_built_again(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        fill(author, streams=2, events_each=20)
        ProjectionRunner(log, engine).catch_up()
        spoil(engine, reason="what version 0 made of it")
        with engine.begin() as connection:
            connection.execute(update(projection_checkpoints).values(version=0))
        incidents: list[Incident] = []
        ProjectionRunner(log, engine, report=incidents.append).catch_up()
        assert everything(engine) == from_zero(log)
        assert {
            row["version"] for row in rows(engine, projection_checkpoints) if "__" not in str(row["projection"])
        } == {1}
        assert [i.kind for i in incidents] == [IncidentKind.MODEL_UPGRADED] * len(READ_MODELS)

    def test_rows_of_a_newer_version_are_left_alone(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        author.tell("uid-1", observed(), phase(Phase.PENDING))
        ProjectionRunner(log, engine).catch_up()
        with engine.begin() as connection:
            connection.execute(
                update(projection_checkpoints)
                .where(projection_checkpoints.c.projection == "transition_history")
                .values(version=2)
            )
        author.tell("uid-1", phase(Phase.INSTALLING, Phase.PENDING, Trigger.VALIDATED))
        incidents: list[Incident] = []
        runner = ProjectionRunner(log, engine, report=incidents.append)
        runner.catch_up()
        runner.catch_up()
        assert len(rows(engine, transition_history)) == 1
        assert [(i.projection, i.kind) for i in incidents] == [("transition_history", IncidentKind.NEWER_BUILD)]
        assert runner.lag() == {"transition_history": 1, "component_health": 0, "actions": 0}


class TestWaiting:
    def test_what_was_just_appended_can_be_read_after_waiting_for_it(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        author.tell("uid-1", observed(), phase(Phase.PENDING))
        assert ProjectionRunner(log, engine).wait_for(log.head_position(), timeout_seconds=10)
        assert len(rows(engine, transition_history)) == 1

    def test_waiting_for_what_is_appended_later_ends_when_it_is(
        self, engine: Engine, log: InMemoryEventLog, author: Author
    ) -> None:
        later = threading.Timer(0.1, lambda: author.tell("uid-1", observed(), phase(Phase.PENDING)))
        later.start()
        assert ProjectionRunner(log, engine).wait_for(2, timeout_seconds=10)
        later.join()

    def test_waiting_for_what_never_comes_ends_in_time(self, engine: Engine, log: InMemoryEventLog) -> None:
        started = time.monotonic()
        assert not ProjectionRunner(log, engine).wait_for(1, timeout_seconds=0.2)
        assert time.monotonic() - started < 5


class TestAnUnreachableDatabase:
    def test_is_the_stores_own_error(self, sqlite_dsn: str, log: InMemoryEventLog, author: Author) -> None:
        author.tell("uid-1", observed())
        engine = engine_for(sqlite_dsn)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE projection_checkpoints")
        with pytest.raises(StoreUnavailableError, match="no such table"):
            ProjectionRunner(log, engine).catch_up()
        engine.dispose()


def spoil(engine: Engine, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(transition_history).values(**values))
