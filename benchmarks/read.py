"""How fast the log is read back: to domain events, folded to platform states, and with its chain verified."""

import time
from collections.abc import Callable
from statistics import median
from uuid import uuid4

from benchmarks.peers import Library
from benchmarks.stage import new_event, postgres
from benchmarks.table import Row, compared, reported
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.hashing import verify_chain
from eventstore.log import EventLog
from eventstore.opening import open_log
from projections.platform import evolve
from projections.state import PlatformState

STREAMS = 300
EVENTS_PER_STREAM = 100
ROUNDS = 5
PAGE = 1000
#: 60,000 events/s read, decoded and folded where the library reads 47,000.
FOLD_BAR = 60 / 47


def run() -> list[Row]:
    """Read the same 30,000 events of 755 bytes, ours and the peer's turn about; medians of the rounds."""
    with postgres() as dsn:
        log, library = open_log(dsn, create=True), Library(dsn)
        try:
            streams = _fill(log, library)
            return _measure(log, library, streams)
        finally:
            library.close()
            log.close()


def _fill(log: EventLog, library: Library) -> list[str]:
    streams = []
    for _ in range(STREAMS):
        aggregate = uuid4()
        streams.append(str(aggregate))
        versions = range(1, EVENTS_PER_STREAM + 1)
        log.append(str(aggregate), 0, [new_event(version) for version in versions], epoch=0)
        library.recorder.insert_events([library.stored_event(aggregate, version) for version in versions])
    return streams


def _measure(log: EventLog, library: Library, streams: list[str]) -> list[Row]:
    decoded: list[float] = []
    folded: list[float] = []
    peers: list[float] = []
    verified: list[float] = []
    chains = [log.read_stream(stream_id) for stream_id in streams]
    for _ in range(ROUNDS):
        peers.append(_rate(lambda: library.read_all(lambda _: None)))
        decoded.append(_rate(lambda: read_pages(log, _decode_page)))
        folded.append(_rate(lambda: _fold(log)))
        verified.append(_rate(lambda: _verify(chains)))
    peer = median(peers)
    return [
        compared("read the log to domain events", median(decoded), "events/s", "pyeventsourcing", peer, at_least=2.0),
        compared("the same, folded", median(folded), "events/s", "pyeventsourcing, unfolded", peer, at_least=FOLD_BAR),
        reported("verify the hash chain", median(verified), "events/s"),
    ]


def read_pages(log: EventLog, each: Callable[[list[RecordedEvent]], None]) -> int:
    """Read the whole log in pages; the number of events."""
    position = count = 0
    while page := log.read_all(position, PAGE):
        each(page)
        position, count = page[-1].position, count + len(page)
    return count


def _decode_page(page: list[RecordedEvent]) -> None:
    for event in page:
        decode(event)


def _fold(log: EventLog) -> int:
    states: dict[str, PlatformState] = {}

    def fold_page(page: list[RecordedEvent]) -> None:
        for event in page:
            state = states.get(event.stream_id) or PlatformState(stream_id=event.stream_id)
            states[event.stream_id] = evolve(state, decode(event), event.occurred_at)

    return read_pages(log, fold_page)


def _verify(chains: list[list[RecordedEvent]]) -> int:
    for chain in chains:
        if fault := verify_chain(chain):
            raise AssertionError(fault)
    return sum(map(len, chains))


def _rate(read: Callable[[], int]) -> float:
    started = time.perf_counter()
    count = read()
    return count / (time.perf_counter() - started)
