"""The queue: one worker per key, nothing forgotten, nothing in a hot loop."""

import threading
import time
from collections import Counter

from reconciler.shell.work_queue import PATIENT_EVERY, NoQueueObserver, WorkQueue


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Counting(NoQueueObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.added, self.retried = 0, 0
        self.waited: list[float] = []
        self.worked: list[float] = []

    def queue_added(self) -> None:
        self.added += 1

    def queue_waited(self, seconds: float) -> None:
        self.waited.append(seconds)

    def queue_worked(self, seconds: float) -> None:
        self.worked.append(seconds)

    def queue_retried(self) -> None:
        self.retried += 1


def test_a_key_added_many_times_is_handed_out_once() -> None:
    queue = WorkQueue[str](Clock())
    for _ in range(100):
        queue.add("a")
    assert len(queue) == 1
    assert queue.get(0) == "a"
    assert queue.get(0) is None


def test_keys_come_out_in_the_order_they_came() -> None:
    queue = WorkQueue[str](Clock())
    for key in "abcab":
        queue.add(key)
    assert [queue.get(0) for _ in range(4)] == ["a", "b", "c", None]


def test_what_is_begun_goes_before_what_is_new_but_not_for_ever() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock(), can_wait=lambda key: key.startswith("new"))
    for key in ("new-1", "begun-1", "new-2", "begun-2"):
        queue.add(key)
    queue.add("new-1")
    assert len(queue) == 4
    assert [_take(queue) for _ in range(4)] == ["begun-1", "begun-2", "new-1", "new-2"]
    queue.add("new-3")
    taken: list[str] = []
    while not taken or taken[-1] != "new-3":
        queue.add("busy")
        taken.append(_take(queue))
    assert len(taken) <= PATIENT_EVERY, "a platform that never rests does not keep others out"


def _take(queue: WorkQueue[str]) -> str:
    key = queue.get(0)
    assert key is not None
    queue.done(key)
    return key


def test_a_key_added_while_in_work_comes_again_after_it_is_done_and_not_before() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    queue.add("a")
    assert queue.get(0) is None
    queue.done("a")
    assert queue.get(0) == "a"
    queue.done("a")
    assert queue.get(0) is None


def test_a_busy_key_goes_to_the_end_and_starves_nobody() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("busy")
    queue.add("quiet")
    assert queue.get(0) == "busy"
    queue.add("busy")
    queue.done("busy")
    assert queue.get(0) == "quiet"


def test_a_delayed_key_comes_when_it_is_due_and_the_shortest_delay_counts() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock)
    queue.add_after("a", 60)
    queue.add_after("a", 10)
    queue.add_after("a", 30)
    assert queue.get(0) is None
    clock.now += 10
    assert queue.get(0) == "a"
    queue.done("a")
    clock.now += 100
    assert queue.get(0) is None


def test_the_queue_knows_when_the_first_delayed_key_comes() -> None:
    queue: WorkQueue[str] = WorkQueue(clock := Clock())
    assert queue.next_due() is None
    queue.add_after("late", 30)
    queue.add_after("soon", 10)
    assert queue.next_due() == clock.now + 10
    clock.now += 10
    assert queue.get(0.0) == "soon"
    assert queue.next_due() == clock.now + 20


def test_crashes_back_off_to_a_limit_and_success_forgets_them() -> None:
    queue = WorkQueue[str](Clock(), retry_initial_seconds=1, retry_max_seconds=8)
    assert [queue.retry("a") for _ in range(5)] == [1, 2, 4, 8, 8]
    assert queue.retry("b") == 1
    queue.forget("a")
    assert queue.retry("a") == 1


def test_a_key_that_crashed_rests_for_a_second_however_often_it_is_added() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock, retry_initial_seconds=8)
    queue.add("a")
    assert queue.get(0) == "a"
    queue.add("a")
    queue.retry("a")
    queue.done("a")
    for _ in range(9):
        queue.add("a")
        assert queue.get(0) is None
        clock.now += 0.1
    clock.now += 0.2
    assert queue.get(0) == "a", "and not only when its delay is over"
    queue.forget("a")
    queue.add("a")
    queue.done("a")
    assert queue.get(0) == "a", "nor does it rest after a success"


def test_a_key_rests_for_as_long_as_the_server_asked_for_however_often_it_is_added() -> None:
    clock = Clock()
    queue = WorkQueue[str](clock, retry_initial_seconds=1)
    assert queue.retry("a", 20) == 20
    for _ in range(19):
        queue.add("a")
        clock.now += 1
        assert queue.get(0) is None
    clock.now += 1
    assert queue.get(0) == "a"
    queue.done("a")
    for _ in range(5):
        queue.retry("b")
    assert queue.retry("b", 20) == 32, "what it asks for is the least"


def test_times_and_counts_are_reported() -> None:
    clock, seen = Clock(), Counting()
    queue = WorkQueue[str](clock, seen)
    queue.add("a")
    queue.add("a")
    clock.now += 3
    queue.get(0)
    clock.now += 5
    assert queue.unfinished_seconds() == 5
    assert queue.longest_running_seconds() == 5
    queue.done("a")
    queue.retry("a")
    assert (seen.added, seen.waited, seen.worked, seen.retried) == (1, [3.0], [5.0], 1)
    assert queue.longest_running_seconds() == 0


def test_a_waiting_worker_is_woken_by_an_addition_a_due_time_and_the_end() -> None:
    queue = WorkQueue[str](time.monotonic)
    got: list[str | None] = []

    def work() -> None:
        while (key := queue.get()) is not None:
            got.append(key)
            queue.done(key)

    worker = threading.Thread(target=work)
    worker.start()
    queue.add("now")
    queue.add_after("later", 0.05)
    deadline = time.monotonic() + 5
    while got != ["now", "later"] and time.monotonic() < deadline:
        time.sleep(0.005)
    queue.shut_down()
    worker.join(5)
    assert got == ["now", "later"]
    assert not worker.is_alive()


def test_after_the_end_nothing_is_handed_out_but_work_can_be_finished() -> None:
    queue = WorkQueue[str](Clock())
    queue.add("a")
    queue.add("b")
    assert queue.get(0) == "a"
    queue.shut_down()
    queue.add("c")
    assert queue.get(0) is None
    queue.done("a")


def test_many_threads_never_work_on_one_key_at_once_and_lose_none() -> None:
    queue = WorkQueue[int](time.monotonic)
    busy: Counter[int] = Counter()
    lock, clashes, done = threading.Lock(), [], Counter[int]()

    def work() -> None:
        while (key := queue.get()) is not None:
            with lock:
                busy[key] += 1
                if busy[key] > 1:
                    clashes.append(key)
            with lock:
                busy[key] -= 1
                done[key] += 1
            queue.done(key)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for turn in range(2000):
        queue.add(turn % 20)
    deadline = time.monotonic() + 10
    while len(queue) and time.monotonic() < deadline:
        time.sleep(0.005)
    queue.shut_down()
    for worker in workers:
        worker.join(5)
    assert clashes == []
    assert set(done) == set(range(20))
