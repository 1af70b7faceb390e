"""The threads that reconcile."""

import threading
import time
from typing import Any

import pytest

from eventstore.errors import StoreUnavailableError
from eventstore.vocabulary import ErrorCategory
from reconciler.shell.clock import SystemClock
from reconciler.shell.cluster import ClusterError
from reconciler.shell.metrics import Metrics
from reconciler.shell.work_queue import WorkQueue
from reconciler.shell.workers import PlatformKey, Workers


class _Broken(WorkQueue[PlatformKey]):
    def get(self, timeout_seconds: float | None = None) -> PlatformKey | None:
        raise RuntimeError("a bug of the queue")


class _Asking(WorkQueue[PlatformKey]):
    """Keeps for how long a key was at least to be left alone."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.asked: list[float] = []
        self.retried = threading.Event()

    def retry(self, key: PlatformKey, at_least_seconds: float = 0.0) -> float:
        self.asked.append(at_least_seconds)
        self.retried.set()
        return at_least_seconds


class _Refused:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def reconcile(self, key: PlatformKey) -> Any:
        raise self._error


class _Nobody:
    def reconcile(self, key: PlatformKey) -> Any:
        raise AssertionError("nothing was added")


def _workers(queue: WorkQueue[PlatformKey]) -> Workers:
    return Workers(_Nobody(), queue, Metrics(), SystemClock(), 2)  # type: ignore[arg-type]  # it is never asked


def test_workers_that_wait_for_work_are_alive_and_those_told_to_end_are_ended() -> None:
    workers = _workers(WorkQueue(time.monotonic))
    assert workers.dead() == 0
    workers.start()
    assert workers.dead() == 0
    assert workers.stop(5.0)
    assert workers.dead() == 0


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ClusterError(ErrorCategory.TRANSIENT, "TooManyRequests", "busy", retry_after_seconds=20.0), 20.0),
        (ClusterError(ErrorCategory.TRANSIENT, "Unreachable", "no route"), 0.0),
        (StoreUnavailableError("away"), 0.0),
        (ValueError("a bug"), 0.0),
    ],
)
def test_a_platform_is_left_alone_for_as_long_as_the_server_asked_for(error: Exception, seconds: float) -> None:
    queue = _Asking()
    workers = Workers(_Refused(error), queue, Metrics(), SystemClock(), 1)  # type: ignore[arg-type]  # only asked to work
    queue.add(("obs", "prod"))
    workers.start()
    assert queue.retried.wait(5.0)
    assert workers.stop(5.0)
    assert queue.asked == [seconds]


def test_workers_that_died_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    workers = _workers(_Broken(time.monotonic))
    workers.start()
    deadline = time.monotonic() + 5
    while workers.dead() < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
