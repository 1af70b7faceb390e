"""Read models in the same database as the log they are folded from, while it is being written."""

import threading
from itertools import islice

from sqlalchemy import Engine

from eventstore.log import EventLog
from eventstore.opening import open_log
from projections.engines import engine_for
from projections.read_models import READ_MODELS
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from tests.projections.histories import Author, life
from tests.projections.reading import everything

WRITERS = 4
APPENDS_EACH = 60


def test_writers_a_runner_and_rebuilds_share_one_database_without_losing_anything(dsn: str, engine: Engine) -> None:
    log = open_log(dsn)
    try:
        writers = [threading.Thread(target=write, args=(log, number)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        runner = ProjectionRunner(log, engine, page_size=50)
        while any(writer.is_alive() for writer in writers):
            runner.catch_up()
            assert rebuild(log, engine, "actions", apply=True).identical
        for writer in writers:
            writer.join()
        head = log.head_position()
        assert head == WRITERS * APPENDS_EACH * 3
        assert runner.wait_for(head, timeout_seconds=30)
        assert all(rebuild(log, engine, model.name).identical for model in READ_MODELS)
        fresh = engine_for("memory://")
        ProjectionRunner(log, fresh).catch_up()
        assert everything(engine) == everything(fresh)
    finally:
        log.close()


def write(log: EventLog, number: int) -> None:
    author, story = Author(log, seed=number), life(number)
    for _ in range(APPENDS_EACH):
        author.tell(f"uid-{number}", *islice(story, 3))
