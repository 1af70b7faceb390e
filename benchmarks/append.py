"""How fast the log takes in events: alone against the bare driver, in a crowd against pyeventsourcing."""

from statistics import median
from uuid import uuid4

from benchmarks.peers import Library, RawDriver
from benchmarks.stage import DOCUMENT, NOON, Work, new_event, percentile, postgres, timed_threads
from benchmarks.table import Row, beside, compared, limited, reported
from eventstore.envelope import StateRecord
from eventstore.log import EventLog
from eventstore.opening import open_log

ROUNDS = 5
SECONDS = 1.5
SECONDS_ALONE = 0.4
CROWD = 32


def run() -> list[Row]:
    """One event per append, streams of 100 events; ours and the peer's turn about, medians of the rounds."""
    with postgres() as dsn:
        log = open_log(dsn, create=True)
        raw, library = RawDriver(dsn), Library(dsn)
        try:
            # The documents last: what they leave to be written out slows down what comes after them.
            return _alone(log, raw) + _crowd(log, library) + _with_documents(log)
        finally:
            raw.close()
            library.close()
            log.close()


def _alone(log: EventLog, raw: RawDriver) -> list[Row]:
    works = {"ours": lambda _: appending_to(log), "transaction": raw.transactions, "statement": raw.statements}
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(2 * ROUNDS):
        for name, make_work in works.items():
            rates[name].append(len(timed_threads(make_work, 1, SECONDS_ALONE)) / SECONDS_ALONE)
    ours, transaction, statement = (median(rates[name]) for name in works)
    return [
        compared("append, 1 thread", ours, "appends/s", "raw psycopg transaction", transaction, at_least=0.7),
        beside("append, 1 thread", ours, "appends/s", "raw psycopg, one statement", statement),
    ]


def _crowd(log: EventLog, library: Library) -> list[Row]:
    ours: list[float] = []
    peers: list[float] = []
    slow: list[float] = []
    for _ in range(ROUNDS):
        peers.append(len(timed_threads(library.make_work, CROWD, SECONDS)) / SECONDS)
        samples = timed_threads(lambda _: appending_to(log), CROWD, SECONDS)
        ours.append(len(samples) / SECONDS)
        slow.append(percentile(samples, 99) * 1000)
    name = f"append, {CROWD} threads"
    return [
        compared(name, median(ours), "appends/s", "pyeventsourcing", median(peers), at_least=7.0),
        limited(f"{name}, p99", median(slow), "ms", below=10.0),
        reported("events in the log afterwards", log.head_position(), "events"),
    ]


def _with_documents(log: EventLog) -> list[Row]:
    rates = [
        len(timed_threads(lambda _: _appending_documents(log), 1, SECONDS_ALONE)) / SECONDS_ALONE for _ in range(ROUNDS)
    ]
    return [reported("append with 20 kB state, 20 kB content", median(rates), "appends/s")]


def appending_to(log: EventLog) -> Work:
    """Appends one event each time, to streams of 100 events of its own."""
    stream_id = ""

    def work(call: int) -> None:
        nonlocal stream_id
        if call % 100 == 0:
            stream_id = str(uuid4())
        log.append(stream_id, call % 100, [new_event(call % 100 + 1)], epoch=0)

    return work


def _appending_documents(log: EventLog) -> Work:
    """Appends as a reconcile does that rendered manifests anew: an event, the state after it, and a content."""
    stream_id = str(uuid4())

    def work(call: int) -> None:
        log.append(
            stream_id,
            call,
            [new_event(call + 1)],
            epoch=0,
            state=StateRecord(
                state=DOCUMENT,
                fold_version="1",
                namespace="monitoring",
                name="prod",
                phase="Ready",
                due_at=NOON,
                closed=False,
            ),
            contents={f"{stream_id}-{call}": DOCUMENT},
        )

    return work
