"""A reader that follows the log misses nothing, however many processes append meanwhile."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from eventstore.envelope import RecordedEvent
from eventstore.hashing import verify_chain
from eventstore.log import EventLog
from eventstore.opening import open_log
from tests.eventstore.conftest import DATABASES, dsn_of

#: Longer for a soak run: STACKLEDGER_GAP_SECONDS=10.
SECONDS = float(os.environ.get("STACKLEDGER_GAP_SECONDS", "2.5"))


def follow(log: EventLog, writers: list["subprocess.Popen[str]"]) -> list[RecordedEvent]:
    """Read page after page until all writers are done and a read after that found nothing."""
    seen: list[RecordedEvent] = []
    while True:
        done = all(writer.poll() is not None for writer in writers)
        page = log.read_all(seen[-1].position if seen else 0, 500)
        seen += page
        if done and not page:
            return seen


@pytest.mark.parametrize("store", DATABASES)
def test_a_reader_that_follows_the_log_misses_no_event(store: str, request: pytest.FixtureRequest) -> None:
    dsn = dsn_of(store, request)
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.eventstore.append_load", dsn, name, "8", str(SECONDS)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    log = open_log(dsn)
    seen = follow(log, writers)
    acknowledged = sum(int(writer.communicate()[0]) for writer in writers)
    stored = sum(log.stream_head(stream_id)[0] for stream_id in log.stream_ids())
    assert len(seen) == stored == acknowledged > 100
    assert max(Counter(event.position for event in seen).values()) == 1
    for stream_id in log.stream_ids():
        assert verify_chain([event for event in seen if event.stream_id == stream_id]) is None
    log.close()
