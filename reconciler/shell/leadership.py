"""Holds the lease of the log while this process may act, and knows when it may not any more.

The database says who leads, by its own clock. This process only counts on what it was granted: from the moment it
*asked*, by its own monotonic clock, less a margin. If renewals fail or hang, it stops by itself before the
database would let another one in. The epoch is the real fence: an append under an old one is refused, whatever anybody
believes.
"""

import threading
from collections.abc import Callable

import structlog

from eventstore.errors import StoreError
from eventstore.lease import Lease, LeaseStore
from reconciler.shell.redaction import describe_error

logger = structlog.get_logger()

#: Share of the time-to-live that is given away, so that a slow last write is over before another replica begins.
MARGIN = 0.2
#: Why a lease is given back on purpose.
STOPPED = "stopped"


class Leadership:
    """Acquires, renews and loses the lease in a thread of its own; a second thread watches the clock."""

    def __init__(
        self,
        store: LeaseStore,
        holder: str,
        ttl_seconds: float,
        renew_seconds: float,
        *,
        monotonic: Callable[[], float],
        on_gain: Callable[[int], None] = lambda _epoch: None,
        on_loss: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """`on_gain(epoch)` and `on_loss(why)` are called from these threads, alternately; they must not block long."""
        self._store, self._holder = store, holder
        self._ttl_seconds, self._renew_seconds, self._monotonic = ttl_seconds, renew_seconds, monotonic
        self._on_gain, self._on_loss = on_gain, on_loss
        self._lock = threading.Lock()
        self._announcing = threading.RLock()
        self._lease: Lease | None = None
        #: Monotonic time until which the lease counts.
        self._until = 0.0
        self._announced: int | None = None
        self._on_standby = False
        self._problem = "not asked for yet"
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def epoch(self) -> int | None:
        """The epoch under which this process may act now; None if it may not.

        Told by the clock at the moment of the call, so it is right even if the threads hang.
        """
        with self._lock:
            return self._lease.epoch if self._lease is not None and self._monotonic() < self._until else None

    def problem(self) -> str:
        """Why the lease's state is unknown ("" if the store answered last time): for readiness."""
        with self._lock:
            return self._problem

    def start(self) -> None:
        """Try to get the lease, and keep it."""
        self._threads = [
            threading.Thread(target=self._renew_for_ever, name="lease", daemon=True),
            threading.Thread(target=self._watch_clock, name="lease-clock", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Give the lease back. Call it after the last write: from here on another replica may act."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout_seconds / 2)
        with self._lock:
            lease, self._lease = self._lease, None
        self._announce(STOPPED)
        if lease is None:
            return
        # In a thread: a database that hangs must not keep the process from ending; the lease then runs out by itself.
        release = threading.Thread(target=self._release, args=(lease,), name="lease-release", daemon=True)
        release.start()
        release.join(timeout_seconds / 2)

    def step(self) -> None:
        """Ask once: acquire or renew, whichever is due. Never raises."""
        asked_at = self._monotonic()
        with self._lock:
            held = self._lease
        try:
            lease = self._store.renew(held) if held else self._store.acquire(self._holder, self._ttl_seconds)
        except StoreError as error:
            self._fail(describe_error(error))
        except Exception as error:  # a bug in the store must not end the thread that gives the lease up
            logger.exception("lease_request_failed")
            self._fail(describe_error(error))
        else:
            self._granted(lease, asked_at, lost=held is not None)

    def look_at_clock(self) -> None:
        """Notice that the lease has run out though no renewal came back to say so."""
        self._announce("the lease ran out: its renewal hangs")

    def _granted(self, lease: Lease | None, asked_at: float, *, lost: bool) -> None:
        with self._lock:
            if self._stop.is_set():
                # `stop` has given up the lease it knew of: this newer one is given back as well.
                late, lease = lease, None
            else:
                late = None
                self._lease, self._problem = lease, ""
                if lease is not None:
                    self._until = asked_at + self._ttl_seconds * (1 - MARGIN)
        if late is not None:
            self._release(late)
        if lease is None and not self._on_standby and not self._stop.is_set():
            logger.info("standby", holder=self._holder, why="another replica holds the lease")
        self._on_standby = lease is None
        self._announce("another replica holds a newer lease" if lost else "another replica holds the lease")

    def _fail(self, problem: str) -> None:
        with self._lock:
            self._problem = problem
        logger.warning("lease_unknown", problem=problem)
        self._announce(f"the lease ran out unrenewed: {problem}")

    def _announce(self, why: str) -> None:
        with self._announcing:
            epoch = self.epoch()
            if epoch == self._announced:
                return
            before, self._announced = self._announced, epoch
            if before is not None:
                (logger.info if why == STOPPED else logger.warning)("lease_lost", epoch=before, why=why)
                self._on_loss(why)
            if epoch is not None:
                logger.info("lease_gained", epoch=epoch)
                self._on_gain(epoch)

    def _release(self, lease: Lease) -> None:
        try:
            self._store.release(lease)
        except Exception as error:  # it runs out by itself
            logger.warning("lease_not_released", problem=describe_error(error))

    def _renew_for_ever(self) -> None:
        while True:
            self.step()
            if self._stop.wait(self._renew_seconds):
                return

    def _watch_clock(self) -> None:
        # A renewal that hangs cannot tell anybody that time is over.
        while not self._stop.wait(min(0.5, self._renew_seconds / 4)):
            self.look_at_clock()
