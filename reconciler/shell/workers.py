"""The threads that take platforms from the queue and reconcile them. One failing platform never stops another."""

import threading

import structlog

from eventstore.errors import StoreError
from reconciler.shell.clock import Clock
from reconciler.shell.cluster import ClusterError
from reconciler.shell.loop import Reconciler
from reconciler.shell.metrics import Metrics
from reconciler.shell.redaction import describe_error
from reconciler.shell.work_queue import WorkQueue

_log = structlog.get_logger(__name__)

PlatformKey = tuple[str, str]


class Workers:
    """`count` threads over one queue."""

    def __init__(
        self, reconciler: Reconciler, queue: WorkQueue[PlatformKey], metrics: Metrics, clock: Clock, count: int
    ) -> None:
        self._reconciler, self._queue, self._metrics, self._clock, self._count = (
            reconciler,
            queue,
            metrics,
            clock,
            count,
        )
        self._active, self._stopping = 0, False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"worker-{n}", daemon=True) for n in range(count)]

    def start(self) -> None:
        """Begin to work."""
        self._metrics.set_workers(0, self._count)
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Let the work in progress end; False if some of it did not in time."""
        self._stopping = True
        self._queue.shut_down()
        deadline = self._clock.monotonic() + timeout_seconds
        # Told to end before it began to work, there is nobody to wait for.
        for thread in (thread for thread in self._threads if thread.ident is not None):
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def dead(self) -> int:
        """Threads that began to work and ended, though nobody told them to."""
        if self._stopping:
            return 0
        return sum(thread.ident is not None and not thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (key := self._queue.get()) is not None:
            self._count_active(1)
            try:
                self.work_on(key)
            finally:
                self._count_active(-1)

    def work_on(self, key: PlatformKey) -> None:
        """One pass over a platform that was taken from the queue, and what comes of it for the queue."""
        try:
            self._work(key)
        finally:
            self._queue.done(key)

    def _work(self, key: PlatformKey) -> None:
        began = self._clock.monotonic()
        try:
            result = self._reconciler.reconcile(key)
        except (ClusterError, StoreError) as error:
            at_least = error.retry_after_seconds if isinstance(error, ClusterError) else None
            self._failed(key, began, describe_error(error), at_least or 0.0)
        except Exception as error:  # a bug in one platform's pass must not end the thread that serves the others
            _log.exception("reconcile_crashed", platform="/".join(key))
            self._failed(key, began, describe_error(error))
        else:
            self._queue.forget(key)
            seconds = self._clock.monotonic() - began
            if result.again_after_seconds is None:
                self._metrics.reconciled(seconds, "success")
            else:
                self._metrics.reconciled(seconds, "requeue_after" if result.again_after_seconds else "requeue")
                self._queue.add_after(key, result.again_after_seconds)

    def _failed(self, key: PlatformKey, began: float, why: str, at_least_seconds: float = 0.0) -> None:
        delay = self._queue.retry(key, at_least_seconds)
        self._metrics.reconciled(self._clock.monotonic() - began, "error")
        _log.warning("reconcile_failed", platform="/".join(key), why=why, again_after_seconds=delay)

    def _count_active(self, change: int) -> None:
        with self._lock:
            self._active += change
            self._metrics.set_workers(self._active, self._count)
