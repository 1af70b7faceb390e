"""Leadership: never longer than granted, whatever hangs."""

import threading
import time
from datetime import UTC, datetime

import pytest

from eventstore.errors import StoreUnavailableError
from eventstore.lease import Lease
from reconciler.shell.leadership import Leadership


class FakeLeaseStore:
    """A lease row with a clock that tests set; `broken` makes every call fail, `hang` makes renewals block."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lease: Lease | None = None
        self.until = 0.0
        self.broken = False
        self.hang: threading.Event | None = None
        self.released: list[int] = []

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        self._fail()
        if self.lease is not None and self.lease.holder != holder and self.now < self.until:
            return None
        epoch = self.lease.epoch + 1 if self.lease else 1
        self.lease = Lease(holder=holder, epoch=epoch, ttl_seconds=ttl_seconds, expires_at=datetime.now(UTC))
        self.until = self.now + ttl_seconds
        return self.lease

    def renew(self, lease: Lease) -> Lease | None:
        if self.hang is not None:
            self.hang.wait(10)
        self._fail()
        if self.lease is None or self.lease.epoch != lease.epoch:
            return None
        self.until = self.now + lease.ttl_seconds
        return lease

    def release(self, lease: Lease) -> None:
        self._fail()
        self.released.append(lease.epoch)
        self.until = self.now

    def current(self) -> Lease | None:
        return self.lease

    def _fail(self) -> None:
        if self.broken:
            raise StoreUnavailableError


class Setup:
    """A leadership that is driven step by step, with one clock for it and the store."""

    def __init__(self, store: FakeLeaseStore | None = None, holder: str = "a") -> None:
        self.store = store or FakeLeaseStore()
        self.said: list[str] = []
        self.leadership = Leadership(
            self.store,
            holder,
            10,
            3,
            monotonic=lambda: self.store.now,
            on_gain=lambda epoch: self.said.append(f"gain {epoch}"),
            on_loss=lambda why: self.said.append(f"loss {why}"),
        )


def test_the_lease_is_acquired_kept_and_announced_once() -> None:
    it = Setup()
    assert it.leadership.epoch() is None
    for _ in range(5):
        it.leadership.step()
        it.store.now += 3
    assert it.leadership.epoch() == 1
    assert it.said == ["gain 1"]


def test_a_second_replica_waits_until_the_first_lease_has_run_out() -> None:
    first = Setup()
    second = Setup(first.store, "b")
    first.leadership.step()
    second.leadership.step()
    assert second.leadership.epoch() is None
    first.store.now += 10
    second.leadership.step()
    assert second.leadership.epoch() == 2
    assert first.leadership.epoch() is None


def test_it_stops_by_itself_before_the_lease_runs_out_if_renewals_fail() -> None:
    it = Setup()
    it.leadership.step()
    it.store.broken = True
    it.store.now = 7.9
    it.leadership.step()
    assert it.leadership.epoch() == 1
    it.store.now = 8.1
    assert it.leadership.epoch() is None, "10 s were granted, less a fifth"
    it.leadership.step()
    assert it.said[-1].startswith("loss the lease ran out unrenewed")
    assert "StoreUnavailableError" in it.leadership.problem()


def test_time_counts_from_when_it_asked_not_from_when_it_was_answered() -> None:
    it = Setup()

    def slow(holder: str, ttl_seconds: float) -> Lease:
        it.store.now += 5
        return Lease(holder=holder, epoch=1, ttl_seconds=ttl_seconds, expires_at=datetime.now(UTC))

    it.store.acquire = slow  # type: ignore[method-assign]  # one slow answer
    it.leadership.step()
    it.store.now = 8.1
    assert it.leadership.epoch() is None


def test_an_answer_slower_than_the_lease_grants_nothing() -> None:
    it = Setup()

    def slower(holder: str, ttl_seconds: float) -> Lease:
        it.store.now += 9
        return Lease(holder=holder, epoch=1, ttl_seconds=ttl_seconds, expires_at=datetime.now(UTC))

    it.store.acquire = slower  # type: ignore[method-assign]  # one slow answer
    it.leadership.step()
    assert it.said == []


def test_a_newer_epoch_takes_the_lease_away_at_once() -> None:
    it = Setup()
    it.leadership.step()
    it.store.now += 11
    it.store.acquire("b", 10)
    it.leadership.step()
    assert it.leadership.epoch() is None
    assert it.said == ["gain 1", "loss another replica holds a newer lease"]


def test_a_store_that_comes_back_in_time_changes_nothing() -> None:
    it = Setup()
    it.leadership.step()
    it.store.broken = True
    it.store.now = 3
    it.leadership.step()
    it.store.broken = False
    it.store.now = 6
    it.leadership.step()
    it.store.now = 13
    assert it.leadership.epoch() == 1
    assert it.said == ["gain 1"]


def test_threads_keep_the_lease_and_give_it_back_at_the_end() -> None:
    store, gained = FakeLeaseStore(), threading.Event()
    before = threading.active_count()
    leadership = Leadership(store, "a", 3, 0.01, monotonic=time.monotonic, on_gain=lambda _epoch: gained.set())
    leadership.start()
    assert gained.wait(5)
    leadership.stop()
    assert leadership.epoch() is None
    assert store.released == [1]
    assert threading.active_count() == before


def test_a_renewal_that_hangs_is_noticed_by_the_clock() -> None:
    store, lost = FakeLeaseStore(), threading.Event()
    reasons: list[str] = []

    def on_loss(why: str) -> None:
        reasons.append(why)
        lost.set()

    leadership = Leadership(store, "a", 0.3, 0.05, monotonic=time.monotonic, on_loss=on_loss)
    leadership.step()
    store.hang = threading.Event()
    leadership.start()
    assert lost.wait(3)
    assert "hangs" in reasons[0]
    store.hang.set()
    leadership.stop(1)


@pytest.mark.parametrize("broken", [True, False])
def test_stopping_does_not_need_the_store(broken: bool) -> None:
    it = Setup()
    it.leadership.step()
    it.store.broken = broken
    it.leadership.stop(1)
    assert it.said == ["gain 1", "loss stopped"]
