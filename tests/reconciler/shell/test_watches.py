"""The watches under the faults that lose events in other operators."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.vocabulary import LABEL_PLATFORM, ErrorCategory
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import (
    ClusterError,
    KubernetesObject,
    ListPage,
    Resource,
    ResourceExpiredError,
    WatchEvent,
)
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.resources import DEPLOYMENT, PLATFORM, RESOURCE_QUOTA, WatchedResource
from reconciler.shell.watches import RESTARTS_MAX, Watcher, WatchSet, WatchTimes

QUICK = WatchTimes(backoff_initial_seconds=0.01, backoff_max_seconds=0.02, reopen_seconds=0.005)


class CountingObserver:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.stalled: list[str] = []
        self.relisted: list[tuple[str, str]] = []
        self.restarted: list[str] = []

    def watch_stalled(self, kind: str) -> None:
        self.stalled.append(kind)

    def watch_relisted(self, kind: str, reason: str) -> None:
        self.relisted.append((kind, reason))

    def watch_thread_restarted(self, kind: str) -> None:
        self.restarted.append(kind)


class ScriptedCluster:
    """Lists and watches as a script says; each entry of `watches` is one watch, the last one waits for ever."""

    def __init__(self) -> None:
        self.lists: list[ListPage | Exception] = []
        self.watches: list[Callable[[], Iterator[WatchEvent]]] = []
        self.watched_from: list[str] = []
        self.watched_seconds: list[float | None] = []
        self.list_count = 0
        self.closed = threading.Event()

    def list_all(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> ListPage:
        self.list_count += 1
        entry = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(entry, Exception):
            raise entry
        return entry

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        *,
        seconds: float | None = None,
    ) -> Iterator[WatchEvent]:
        self.watched_from.append(resource_version)
        self.watched_seconds.append(seconds)
        if self.watches:
            yield from self.watches.pop(0)()
        else:
            self.closed.wait(10)

    def interrupt(self) -> None:
        self.closed.set()


def thing(name: str, version: int, kind: Resource = DEPLOYMENT, **labels: str) -> KubernetesObject:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": "obs",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "labels": {LABEL_PLATFORM: "prod"} | labels,
        },
    }


def page(version: int, *items: KubernetesObject) -> ListPage:
    return ListPage(list(items), str(version))


def events(*pairs: tuple[str, KubernetesObject]) -> Callable[[], Iterator[WatchEvent]]:
    return lambda: iter([WatchEvent(kind, found) for kind, found in pairs])  # type: ignore[arg-type]  # a literal in the tests


def failing(error: Exception, *pairs: tuple[str, KubernetesObject]) -> Callable[[], Iterator[WatchEvent]]:
    def run() -> Iterator[WatchEvent]:
        yield from events(*pairs)()
        raise error

    return run


class Setup:
    """A watcher that is driven step by step."""

    def __init__(self, resource: Resource = DEPLOYMENT, *, namespace_wide: bool = False, **times: float) -> None:
        self.cluster, self.cache, self.observer = ScriptedCluster(), ObjectCache(), CountingObserver()
        self.changes: list[tuple[str, str]] = []
        self.now = 0.0
        self.stop = threading.Event()
        self.watcher = Watcher(
            self.cluster,  # type: ignore[arg-type]  # lists and watches are all a watcher asks for
            WatchedResource(resource, namespace_wide=namespace_wide),
            None,
            self.cache,
            lambda namespace, name: self.changes.append((namespace, name)),
            monotonic=lambda: self.now,
            observer=self.observer,
            times=WatchTimes(**times),
            jitter=lambda: 1.0,
        )

    def step(self) -> float:
        return self.watcher.step(self.stop)


def test_it_lists_first_and_watches_from_there_and_goes_on_where_a_watch_ended() -> None:
    it = Setup()
    it.cluster.lists = [page(10, thing("a", 4))]
    it.cluster.watches = [events(("ADDED", thing("b", 11)), ("BOOKMARK", thing("", 20))), events()]
    it.step()
    it.step()
    assert it.cluster.watched_from == ["10", "20"]
    assert it.cluster.list_count == 1
    assert it.changes == [("obs", "prod"), ("obs", "prod")]
    assert it.watcher.synced.is_set()


def test_a_repeated_event_wakes_nobody() -> None:
    it = Setup()
    it.cluster.lists = [page(10, thing("a", 4))]
    it.cluster.watches = [events(("MODIFIED", thing("a", 4)), ("MODIFIED", thing("a", 3)))]
    it.step()
    assert it.changes == [("obs", "prod")]


@pytest.mark.parametrize("times", [1, 2])
def test_a_410_leads_to_one_list_each_and_finds_what_was_deleted_meanwhile(times: int) -> None:
    it = Setup()
    it.cluster.lists = [page(10, thing("a", 4), thing("gone", 5)), page(30, thing("a", 4))]
    expired = ResourceExpiredError(ErrorCategory.TRANSIENT, "Expired", "too old", status=410)
    it.cluster.watches = [failing(expired) for _ in range(times)] + [events()]
    for _ in range(times + 1):
        it.step()
    assert it.cluster.list_count == times + 1
    assert it.cache.get(DEPLOYMENT, "obs", "gone") is None
    assert it.observer.relisted == [("Deployment", "start")] + [("Deployment", "expired")] * times


def test_dropping_all_events_but_the_last_ends_in_the_same_state() -> None:
    every, last = Setup(), Setup()
    steps = [("MODIFIED", thing("a", version)) for version in range(5, 15)]
    for it, pairs in ((every, steps), (last, steps[-1:])):
        it.cluster.lists = [page(4, thing("a", 4))]
        it.cluster.watches = [events(*pairs)]
        it.step()
    assert every.cache.list_kind(DEPLOYMENT) == last.cache.list_kind(DEPLOYMENT)


def test_a_junk_line_leads_to_a_new_list() -> None:
    it = Setup()
    it.cluster.lists = [page(10)]
    it.cluster.watches = [failing(ClusterError(ErrorCategory.TRANSIENT, "BadResponse", "junk")), events()]
    it.step()
    it.step()
    assert it.observer.relisted[-1] == ("Deployment", "bad_response")


def test_a_stalled_watch_is_counted_and_listed_over() -> None:
    it = Setup()
    it.cluster.lists = [page(10), page(13, thing("a", 12))]
    stalled = ClusterError(ErrorCategory.TRANSIENT, "WatchStalled", "silent")
    it.cluster.watches = [failing(stalled, ("ADDED", thing("a", 12))), events()]
    assert it.step() > 0
    it.step()
    assert it.observer.stalled == ["Deployment"]
    assert it.observer.relisted[-1] == ("Deployment", "interrupted")
    assert it.cluster.watched_from == ["10", "13"]


@pytest.mark.parametrize("reason", ["Unreachable", "WatchStalled", "Timeout"])
def test_a_cluster_that_came_back_from_a_backup_is_noticed_though_its_watches_are_only_silent(reason: str) -> None:
    it = Setup()
    it.cluster.lists = [page(500, thing("a", 400)), page(100, thing("b", 90))]
    it.cluster.watches = [failing(ClusterError(ErrorCategory.TRANSIENT, reason, "gone")), events()]
    it.step()
    it.step()
    assert it.observer.relisted[-1] == ("Deployment", "rewound")
    assert it.cluster.watched_from == ["500", "100"]


def test_a_busy_server_that_refuses_a_watch_is_not_asked_for_a_list_besides() -> None:
    it = Setup()
    it.cluster.lists = [page(10)]
    it.cluster.watches = [failing(ClusterError(ErrorCategory.TRANSIENT, "TooManyRequests", "busy")), events()]
    it.step()
    it.step()
    assert it.cluster.list_count == 1


def test_a_watch_that_is_taken_again_ends_the_trouble_though_nothing_happens() -> None:
    it, problems = Setup(backoff_initial_seconds=1.0, backoff_max_seconds=8.0), []
    busy = ClusterError(ErrorCategory.TRANSIENT, "TooManyRequests", "busy")

    def taken_and_dropped() -> Iterator[WatchEvent]:
        yield WatchEvent("BOOKMARK", thing("", 10))
        problems.append(it.watcher.problem)
        raise busy

    it.cluster.lists = [page(10)]
    it.cluster.watches = [failing(busy), taken_and_dropped, taken_and_dropped]
    waits = [it.step() for _ in range(3)]
    assert problems == ["", ""]
    assert waits == [1, 2, 4], "and a server that only drops what it takes is asked less and less often"


def test_errors_back_off_exponentially_to_a_limit_and_success_resets() -> None:
    it = Setup(backoff_initial_seconds=1.0, backoff_max_seconds=8.0)
    down = ClusterError(ErrorCategory.TRANSIENT, "Unreachable", "no route")
    it.cluster.lists = [down, down, down, down, down, down, page(10)]
    assert [it.step() for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    assert it.watcher.problem == "Unreachable: no route"
    it.cluster.watches = [events()]
    assert it.step() < 1
    assert it.watcher.problem == ""
    it.cluster.watches = [failing(down)]
    assert it.step() == 1


def test_a_server_that_lists_but_refuses_every_watch_is_asked_less_and_less_often() -> None:
    it = Setup(backoff_initial_seconds=1.0, backoff_max_seconds=8.0)
    it.cluster.lists = [page(10)]
    expired = ResourceExpiredError(ErrorCategory.TRANSIENT, "Expired", "too old", status=410)
    it.cluster.watches = [failing(expired)] * 5
    assert [it.step() for _ in range(5)] == [1, 2, 4, 8, 8]


def test_a_retry_after_is_obeyed() -> None:
    it = Setup()
    it.cluster.lists = [ClusterError(ErrorCategory.TRANSIENT, "TooManyRequests", "busy", retry_after_seconds=40.0)]
    assert it.step() == 40


def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_hot_loop() -> None:
    it = Setup()
    it.cluster.lists = [page(10)]
    it.cluster.watches = [events()] * 3
    assert [it.step() for _ in range(3)] == [0.2] * 3


def test_a_surprise_in_the_cluster_port_is_survived_and_listed_over() -> None:
    it = Setup()
    it.cluster.lists = [page(10)]
    it.cluster.watches = [failing(KeyError("raw_object")), events()]
    it.step()
    it.step()
    assert it.observer.relisted[-1] == ("Deployment", "error")


def test_a_wake_up_that_failed_is_made_up_for() -> None:
    it = Setup()
    it.cache.remember(PLATFORM, thing("prod", 1, PLATFORM))
    it.cluster.lists = [page(10), page(12, thing("a", 11))]
    it.cluster.watches = [events(("ADDED", thing("a", 11))), events()]
    fail = [True]

    def on_change(namespace: str, name: str) -> None:
        if fail.pop() if fail else False:
            raise RuntimeError("the queue is in a bad mood")
        it.changes.append((namespace, name))

    it.watcher._on_change = on_change
    it.step()
    assert it.changes == []
    it.step()
    assert ("obs", "prod") in it.changes


def test_every_platform_is_looked_at_when_the_server_is_back() -> None:
    it = Setup(PLATFORM)
    it.cluster.lists = [page(10, thing("prod", 4, PLATFORM))]
    it.cluster.watches = [failing(ClusterError(ErrorCategory.TRANSIENT, "Unreachable", "gone")), events()]
    it.step()
    it.changes.clear()
    it.step()
    assert it.changes == [("obs", "prod")]


def test_everything_is_listed_anew_now_and_then() -> None:
    it = Setup(relist_seconds=100)
    it.cluster.lists = [page(10)]
    it.cluster.watches = [events()] * 3
    it.step()
    it.now = 99
    it.step()
    it.now = 101
    it.step()
    assert it.observer.relisted == [("Deployment", "start"), ("Deployment", "periodic")]


def test_versions_that_went_back_drop_nothing_until_the_grace_is_over() -> None:
    it = Setup(relist_seconds=1000, rewind_grace_seconds=60)
    it.cluster.lists = [page(500, thing("a", 400)), page(100, thing("b", 90)), page(101, thing("b", 90))]
    it.cluster.watches = [events()] * 4
    it.step()
    it.now = 1001
    it.step()
    assert it.observer.relisted[-1] == ("Deployment", "rewound")
    assert it.cache.get(DEPLOYMENT, "obs", "a") is not None
    assert it.cluster.watched_seconds == [1000, 60]
    it.now += 30
    it.step()
    assert it.cluster.list_count == 2
    it.now += 31
    it.step()
    assert it.cluster.list_count == 3
    assert it.cache.get(DEPLOYMENT, "obs", "a") is None


def test_a_list_that_is_older_than_the_answer_to_a_write_of_ours_is_one_of_a_cluster_that_went_back() -> None:
    it = Setup(relist_seconds=1000)
    it.cluster.lists = [page(500, thing("a", 400)), page(505, thing("a", 400))]
    it.cluster.watches = [events()] * 2
    it.step()
    it.cache.remember(DEPLOYMENT, thing("a", 510))
    it.now = 1001
    it.step()
    assert it.observer.relisted[-1] == ("Deployment", "rewound")


def test_a_quota_wakes_all_platforms_of_its_namespace() -> None:
    it = Setup(RESOURCE_QUOTA, namespace_wide=True)
    for name, namespace in (("one", "obs"), ("two", "obs"), ("three", "elsewhere")):
        found = thing(name, 1, PLATFORM)
        found["metadata"]["namespace"] = namespace
        it.cache.remember(PLATFORM, found)
    quota = thing("q", 11, RESOURCE_QUOTA)
    quota["metadata"]["labels"] = {}
    it.cluster.lists = [page(10)]
    it.cluster.watches = [events(("MODIFIED", quota))]
    it.step()
    assert it.changes == [("obs", "one"), ("obs", "two")]


# -- threads -------------------------------------------------------------------------------------------------------


def watch_set(cluster: Any, observer: CountingObserver, **more: Any) -> WatchSet:
    more.setdefault("times", QUICK)
    return WatchSet(
        cluster,
        [WatchedResource(DEPLOYMENT)],
        more.pop("cache", ObjectCache()),
        more.pop("on_change", lambda _namespace, _name: None),
        monotonic=time.monotonic,
        observer=observer,
        supervise_seconds=0.02,
        **more,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_threads_start_sync_and_stop_without_leaving_any_behind() -> None:
    cluster, before = ScriptedCluster(), threading.active_count()
    cluster.lists = [page(10)]
    watches = watch_set(cluster, CountingObserver(), interrupt=cluster.interrupt)
    assert not watches.wait_synced(0)
    assert watches.problems() == ["Deployment not listed yet"]
    watches.start()
    assert watches.wait_synced(5)
    assert watches.problems() == []
    watches.stop()
    assert threading.active_count() == before


class _Killed(BaseException):
    """Not an Exception: what ends a thread for good."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_watch_thread_is_replaced_and_too_many_deaths_turn_liveness_red() -> None:
    cluster, observer = ScriptedCluster(), CountingObserver()
    cluster.lists = [page(10)]
    cluster.watches = [failing(_Killed())] * (RESTARTS_MAX + 1)  # type: ignore[arg-type]  # on purpose no Exception
    watches = watch_set(cluster, observer, interrupt=cluster.interrupt)
    watches.start()
    wait_until(lambda: len(observer.restarted) > RESTARTS_MAX)
    wait_until(lambda: watches.healthy() != [])
    watches.stop()
    assert "died 6 times" in watches.healthy()[0]


def test_a_hung_watch_thread_is_replaced_and_its_late_news_are_ignored() -> None:
    cluster, observer, cache = ScriptedCluster(), CountingObserver(), ObjectCache()
    cluster.lists = [page(10)]
    late = threading.Event()

    def hang() -> Iterator[WatchEvent]:
        late.wait(5)
        yield WatchEvent("ADDED", thing("from-the-dead", 99))

    cluster.watches = [hang]
    times = WatchTimes(hang_seconds=0.1)
    watches = watch_set(cluster, observer, cache=cache, times=times, interrupt=cluster.interrupt)
    watches.start()
    wait_until(lambda: observer.restarted == ["Deployment"])
    late.set()
    time.sleep(0.05)
    watches.stop()
    assert cache.get(DEPLOYMENT, "obs", "from-the-dead") is None


def test_a_whole_watch_over_http_with_a_410_and_a_silence(server: Any, cluster: KubernetesCluster, reply: Any) -> None:
    import json

    def lines(*pairs: tuple[str, KubernetesObject]) -> list[bytes]:
        return [json.dumps({"type": kind, "object": found}).encode() + b"\n" for kind, found in pairs]

    def listing(version: str, *items: KubernetesObject) -> Any:
        metadata = {"resourceVersion": version}
        return reply(body={"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": metadata, "items": items})

    gone = {"apiVersion": "v1", "kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    server.replies(
        listing("10", thing("a", 4)),
        reply(chunks=lines(("ADDED", thing("b", 11))), hang=True),
        listing("12", thing("b", 11)),
        reply(chunks=lines(("ERROR", gone))),
        listing("20", thing("b", 11)),
        reply(chunks=lines(("ADDED", thing("c", 21))), hang=True),
    )
    observer, cache = CountingObserver(), ObjectCache()
    watches = watch_set(cluster, observer, cache=cache, interrupt=cluster.interrupt_watches)
    watches.start()
    wait_until(lambda: cache.get(DEPLOYMENT, "obs", "c") is not None)
    watches.stop()
    assert [found["metadata"]["name"] for found in cache.list_kind(DEPLOYMENT)] == ["b", "c"]
    assert observer.stalled == ["Deployment"]
    assert observer.relisted == [("Deployment", why) for why in ("start", "interrupted", "expired")]
