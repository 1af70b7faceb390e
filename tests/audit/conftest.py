"""A recorded platform in a log in memory."""

from datetime import datetime, timedelta

import pytest

from eventstore.envelope import RecordedEvent
from eventstore.memory import InMemoryEventLog
from tests.audit.recording import DAY, PROD, record_prod


class TickingClock:
    """A second later at every look."""

    def __init__(self) -> None:
        self._now = DAY

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


@pytest.fixture
def log() -> InMemoryEventLog:
    """Holds obs/prod and nothing else."""
    log = InMemoryEventLog(TickingClock())
    record_prod(log)
    return log


@pytest.fixture
def events(log: InMemoryEventLog) -> list[RecordedEvent]:
    """The events of obs/prod."""
    return log.read_stream(PROD)
