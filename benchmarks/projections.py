"""How fast the read models catch up with the log, by pages and event by event, and are rebuilt."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.stage import postgres
from benchmarks.table import Row, compared, reported
from eventstore.log import EventLog
from eventstore.opening import open_log
from projections.engines import engine_for
from projections.read_models import READ_MODELS
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from tests.projections.histories import Author, life

STREAMS = 200
EVENTS_PER_STREAM = 100
#: Events caught up with one by one: enough to measure, few enough to wait for.
EVENTS_ONE_BY_ONE = 200
#: A page of 1000 was 53 times as fast as one event per transaction when it was first measured.
PAGES_BAR = 10.0


def run() -> list[Row]:
    """Three read models on the same log, on each database."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        rows += _measure(f"sqlite:///{Path(folder) / 'ledger.db'}", "SQLite")
    with postgres() as dsn:
        rows += _measure(dsn, "Postgres")
    return rows


def _measure(dsn: str, database: str) -> list[Row]:
    log = open_log(dsn, create=True)
    engine = engine_for(dsn)
    try:
        _fill(log, "few", streams=1, events=EVENTS_ONE_BY_ONE)
        one_by_one = EVENTS_ONE_BY_ONE / _seconds(ProjectionRunner(log, engine, page_size=1).catch_up)
        _fill(log, "many", streams=STREAMS, events=EVENTS_PER_STREAM)
        events = STREAMS * EVENTS_PER_STREAM
        pages = events / _seconds(ProjectionRunner(log, engine).catch_up)
        again = [_seconds(partial(rebuild, log, engine, model)) for model in READ_MODELS]
        figure = f"three read models catch up, {database}"
        return [
            compared(figure, pages, "events/s", "the same runner, a page per event", one_by_one, at_least=PAGES_BAR),
            reported(f"one of them rebuilt and compared, {database}", events * len(again) / sum(again), "events/s"),
        ]
    finally:
        engine.dispose()
        log.close()


def _fill(log: EventLog, prefix: str, streams: int, events: int) -> None:
    author = Author(log, seed=streams)
    for number in range(streams):
        author.tell(f"{prefix}-{number}", *islice(life(number), events))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
