"""The queue in front of a log's one writer: batches, limits on waiting, and threads that are interrupted."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from eventstore.appending import Append, Outcome
from eventstore.envelope import AppendResult, NewEvent
from eventstore.errors import StoreReadOnlyError, StoreUnavailableError, StreamConflictError
from eventstore.group_commit import WOKEN_AT_ONCE_MAX, GroupCommit, _Waiting
from tests.eventstore.samples import NOON, new_event


class Disk:
    """A commit that can be held up, and that remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()
        self.fault: BaseException | None = None

    def commit(self, batch: list[Append]) -> list[Outcome]:
        self.batches.append([append.stream_id for append in batch])
        self.busy.set()
        assert self.free.wait(10)
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        return [
            StreamConflictError(append.stream_id, 0, 1)
            if append.stream_id.startswith("bad")
            else AppendResult(1, 1, 1, b"", NOON)
            for append in batch
        ]


def append(stream_id: str, *events: NewEvent) -> Append:
    return Append(stream_id, 0, list(events) or [new_event()], 0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(2000):
        if condition():
            return
        deadline.wait(0.002)
    raise AssertionError("did not come about")


class Crowd:
    """Threads that append while the first commit is held up."""

    def __init__(self, group: GroupCommit, disk: Disk) -> None:
        self.group, self.disk = group, disk
        self.pool = ThreadPoolExecutor(32)
        disk.free.clear()
        disk.busy.clear()
        self.first = self.pool.submit(group.submit, append("first"))
        assert disk.busy.wait(5)

    def add(self, item: Append) -> "Future[AppendResult]":
        before = len(self.group._queue)
        future = self.pool.submit(self.group.submit, item)
        wait_until(lambda: len(self.group._queue) == before + 1)
        return future


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_lone_append_is_committed_by_its_own_thread(disk: Disk) -> None:
    threads: list[int] = []

    def commit(batch: list[Append]) -> list[Outcome]:
        threads.append(threading.get_ident())
        return disk.commit(batch)

    GroupCommit(commit).submit(append("a"))
    assert threads == [threading.get_ident()]


def test_appends_that_wait_are_committed_together_in_their_order(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit), disk)
    futures = [crowd.add(append(f"s{number}")) for number in range(5)]
    disk.free.set()
    assert all(future.result(5) for future in [crowd.first, *futures])
    assert disk.batches == [["first"], ["s0", "s1", "s2", "s3", "s4"]]


def test_a_refused_append_fails_alone(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit), disk)
    good, bad = crowd.add(append("good")), crowd.add(append("bad"))
    disk.free.set()
    assert good.result(5)
    with pytest.raises(StreamConflictError):
        bad.result(5)


def test_two_appends_to_one_stream_go_into_different_batches(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit), disk)
    futures = [crowd.add(append(stream_id)) for stream_id in ("a", "a", "b", "a")]
    disk.free.set()
    assert all(future.result(5) for future in futures)
    assert disk.batches == [["first"], ["a", "b"], ["a"], ["a"]]


def test_two_appends_with_one_event_id_go_into_different_batches(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit), disk)
    event = new_event()
    futures = [crowd.add(append("a", event)), crowd.add(append("b", event))]
    disk.free.set()
    assert all(future.result(5) for future in futures)
    assert disk.batches == [["first"], ["a"], ["b"]]


def test_what_the_store_reports_befalls_the_whole_batch_and_not_the_next(disk: Disk) -> None:
    group = GroupCommit(disk.commit)
    crowd = Crowd(group, disk)
    disk.fault = StoreReadOnlyError("the disk is full")
    second = crowd.add(append("second"))
    disk.free.set()
    with pytest.raises(StoreReadOnlyError, match="the disk is full"):
        crowd.first.result(5)
    assert second.result(5)


def test_an_interrupted_leader_leaves_nobody_asleep(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit), disk)
    disk.fault = KeyboardInterrupt()
    second = crowd.add(append("second"))
    disk.free.set()
    with pytest.raises(KeyboardInterrupt):
        crowd.first.result(5)
    assert second.result(5)


def test_a_follower_that_is_interrupted_hands_on_the_lead_it_was_given(disk: Disk) -> None:
    group = GroupCommit(disk.commit)

    class Interrupted:
        """A lock whose owner is interrupted just when it is woken as the next leader."""

        def __init__(self, lock: threading.Lock) -> None:
            self.lock = lock

        def acquire(self, timeout: float) -> bool:
            assert self.lock.acquire(timeout=timeout)
            raise KeyboardInterrupt

        def release(self) -> None:
            self.lock.release()

    crowd = Crowd(group, disk)
    waiting = _Waiting(append("heir"))
    waiting.wake = Interrupted(waiting.wake)  # type: ignore[assignment]  # stands in for the lock
    group._queue.append(waiting)
    heir = crowd.pool.submit(group._follow, waiting)
    second = crowd.add(append("second"))
    disk.free.set()
    with pytest.raises(KeyboardInterrupt):
        heir.result(5)
    assert second.result(5)
    assert disk.batches == [["first"], ["second"]]


def test_a_follower_whose_time_is_up_just_when_the_lead_comes_to_it_leads(disk: Disk) -> None:
    group = GroupCommit(disk.commit)

    class Late:
        """A lock that is released only after its owner gave up waiting."""

        def __init__(self, lock: threading.Lock) -> None:
            self.lock = lock

        def acquire(self, timeout: float) -> bool:
            assert self.lock.acquire(timeout=timeout)
            self.lock.release()
            return False

        def release(self) -> None:
            self.lock.release()

    crowd = Crowd(group, disk)
    waiting = _Waiting(append("heir"))
    waiting.wake = Late(waiting.wake)  # type: ignore[assignment]  # stands in for the lock
    group._queue.append(waiting)

    def follow_and_lead() -> None:
        group._follow(waiting)
        group._lead(waiting)

    heir = crowd.pool.submit(follow_and_lead)
    second = crowd.add(append("second"))
    disk.free.set()
    heir.result(5)
    assert second.result(5)
    assert disk.batches == [["first"], ["heir", "second"]]


def test_followers_that_leave_early_keep_nobody_asleep(disk: Disk) -> None:
    """Their turn to wake the next ones is passed over."""
    group = GroupCommit(disk.commit)
    leaving = threading.Event()

    class Deaf:
        """A lock whose owner is interrupted while its append is on its way, and so is not there to be woken."""

        def acquire(self, timeout: float) -> bool:
            assert leaving.wait(timeout)
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    crowd = Crowd(group, disk)
    leader = crowd.add(append("leader"))
    deaf = [_Waiting(append(f"deaf{number}")) for number in range(WOKEN_AT_ONCE_MAX)]
    for waiting in deaf:
        waiting.wake = Deaf()  # type: ignore[assignment]  # stands in for the lock
    group._queue.extend(deaf)
    left = [crowd.pool.submit(group._follow, waiting) for waiting in deaf]
    last = [crowd.add(append(f"last{number}")) for number in range(2 * WOKEN_AT_ONCE_MAX)]
    disk.free.set()
    disk.free.clear()
    wait_until(lambda: len(disk.batches) == 2)
    leaving.set()
    for future in left:
        with pytest.raises(KeyboardInterrupt):
            future.result(5)
    disk.free.set()
    assert all(future.result(5) for future in [leader, *last])


def test_an_append_that_waited_too_long_in_the_queue_was_not_written(disk: Disk) -> None:
    group = GroupCommit(disk.commit, wait_seconds_max=0.05)
    crowd = Crowd(group, disk)
    second = crowd.add(append("second"))
    with pytest.raises(StoreUnavailableError, match="nothing was written"):
        second.result(5)
    disk.free.set()
    assert crowd.first.result(5)
    assert disk.batches == [["first"]]


def test_an_append_on_its_way_that_takes_too_long_has_an_unknown_fate(disk: Disk) -> None:
    group = GroupCommit(disk.commit, wait_seconds_max=0.2)
    crowd = Crowd(group, disk)
    leader, follower = crowd.add(append("leader")), crowd.add(append("follower"))
    disk.busy.clear()
    disk.free.set()
    disk.free.clear()
    wait_until(lambda: len(disk.batches) == 2 or crowd.first.done())
    with pytest.raises(StoreUnavailableError, match="same event ids to learn its fate"):
        follower.result(5)
    disk.free.set()
    assert leader.result(5)


def test_a_full_queue_refuses_one_more_at_once(disk: Disk) -> None:
    crowd = Crowd(GroupCommit(disk.commit, queue_max=2), disk)
    futures = [crowd.add(append("a")), crowd.add(append("b"))]
    with pytest.raises(StoreUnavailableError, match="2 appends are waiting already: nothing was written"):
        crowd.group.submit(append("c"))
    disk.free.set()
    assert all(future.result(5) for future in futures)


def test_closing_waits_for_what_was_accepted(disk: Disk) -> None:
    group = GroupCommit(disk.commit)
    crowd = Crowd(group, disk)
    second = crowd.add(append("second"))
    closing = crowd.pool.submit(group.close)
    wait_until(lambda: group._closed)
    assert not closing.done()
    disk.free.set()
    closing.result(5)
    assert second.done()
    with pytest.raises(StoreUnavailableError, match="closed"):
        group.submit(append("late"))
