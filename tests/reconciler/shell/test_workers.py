"""The threads that reconcile."""

import threading
import time
from typing import Any

import pytest

from reconciler.shell.clock import SystemClock
from reconciler.shell.metrics import Metrics
from reconciler.shell.work_queue import WorkQueue
from reconciler.shell.workers import PlatformKey, Workers


class _Broken(WorkQueue[PlatformKey]):
    def get(self, timeout_seconds: float | None = None) -> PlatformKey | None:
        raise RuntimeError("a bug of the queue")


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


def test_workers_that_died_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    workers = _workers(_Broken(time.monotonic))
    workers.start()
    deadline = time.monotonic() + 5
    while workers.dead() < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
