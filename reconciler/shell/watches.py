"""Keeps an `ObjectCache` up to date: one thread per kind lists, watches, and starts again when anything is odd.

Level-triggered: a change only says "look again" (`on_change`), so a lost or doubled event costs time, never truth.
"""

import random
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog

from reconciler.shell.cache import ObjectCache, PlatformKey
from reconciler.shell.cluster import Cluster, ClusterError, ResourceExpiredError
from reconciler.shell.redaction import describe_error
from reconciler.shell.resources import PLATFORM, WatchedResource

logger = structlog.get_logger()

#: A watch that ended without a word. The server may come back with the data of a backup: a watch from a version that
#: it has not reached is answered 200 and then nothing, no bookmark either, so only a list tells.
_CUT_OFF = frozenset({"WatchStalled", "Unreachable", "Timeout"})

#: Called with (namespace, platform name) whenever something of that platform may have changed. Must not block.
OnChange = Callable[[str, str], None]


class WatchTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    #: Everything is listed anew this often, whatever the watches say.
    relist_seconds: float = 1800.0
    backoff_initial_seconds: float = 0.5
    backoff_max_seconds: float = 30.0
    #: Two watches of a kind are at least this far apart, even if the server ends each at once.
    reopen_seconds: float = 0.2
    #: A thread that has seen nothing for so long hangs and is replaced. Longer than any timeout below it.
    hang_seconds: float = 240.0
    #: After the cluster's versions went back: nothing is taken for deleted before this has passed.
    rewind_grace_seconds: float = 60.0


class WatchObserver(Protocol):
    """What the watches count."""

    def watch_stalled(self, kind: str) -> None:
        """A watch was silent for too long."""
        ...

    def watch_relisted(self, kind: str, reason: str) -> None:
        """A kind was listed: `start`, `expired`, `interrupted`, `bad_response`, `periodic`, `rewound`, `error`."""
        ...

    def watch_thread_restarted(self, kind: str) -> None:
        """A watch thread had died or hung."""
        ...


class Watcher:
    """List and watch of one kind in one namespace (or all). `run` is a thread's body; one thread at a time."""

    def __init__(
        self,
        cluster: Cluster,
        watched: WatchedResource,
        namespace: str | None,
        cache: ObjectCache,
        on_change: OnChange,
        *,
        monotonic: Callable[[], float],
        observer: WatchObserver,
        times: WatchTimes | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._cluster, self._watched, self._namespace = cluster, watched, namespace
        self._cache, self._on_change, self._monotonic = cache, on_change, monotonic
        self._observer, self._times, self._jitter = observer, times or WatchTimes(), jitter
        self.kind = watched.resource.kind
        self.synced = threading.Event()
        #: Monotonic time of the last sign of life.
        self.active_at = monotonic()
        #: What went wrong last; "" while all is well.
        self.problem = ""
        self._version = ""
        self._listed_at = 0.0
        self._list_reason = "start"
        self._failures = 0

    @property
    def name(self) -> str:
        """`StatefulSet in obs`."""
        return f"{self.kind} in {self._namespace}" if self._namespace else self.kind

    @property
    def version(self) -> int:
        """The resourceVersion up to which everything was seen; -1 before the first list."""
        return _number(self._version)

    @property
    def wants_list(self) -> bool:
        """Whether the next step lists, because a watch alone would not do."""
        return bool(self._list_reason)

    def list_due_seconds(self) -> float:
        """Seconds until everything is listed anew, whatever the watch says."""
        return self._listed_at + self._times.relist_seconds - self._monotonic()

    def run(self, stop: threading.Event) -> None:
        """List and watch until told to stop."""
        while not stop.is_set():
            self.active_at = self._monotonic()
            stop.wait(self.step(stop))

    def step(self, stop: threading.Event) -> float:
        """List if it is due, then follow one watch to its end; seconds to wait before the next step.

        Never raises: whatever happens is a reason to look again, later.
        """
        try:
            if self._list_reason or self.list_due_seconds() < 0:
                self._list(self._list_reason or "periodic", stop)
            self._follow(stop)
        except ResourceExpiredError:
            self._list_reason = "expired"
            return self._pause("")
        except ClusterError as error:
            if stop.is_set():
                # It was interrupted so that it ends.
                return 0.0
            self._note(error)
            return self._pause(f"{error.reason}: {error.message}", error.retry_after_seconds)
        except Exception as error:  # a bug here must not end the watch; the thread above it would only start it again
            self._list_reason = "error"
            logger.exception("watch_failed", kind=self.kind, namespace=self._namespace)
            return self._pause(describe_error(error))
        return self._times.reopen_seconds

    def _list(self, reason: str, stop: threading.Event) -> None:
        # A list is not older than what was known before it was asked for, be it from the answer to a write of ours.
        known = max(_number(self._version), self._cache.newest(self.kind, self._namespace))
        page = self._cluster.list_all(self._watched.resource, self._namespace, self._watched.label_selector)
        if stop.is_set():
            # A hung thread that came back after it was replaced: what it has is old.
            return
        rewound = 0 <= _number(page.resource_version) < known
        changed = self._cache.replace(self.kind, self._namespace, page, rewound=rewound)
        if reason == "error":
            # A change may have reached the cache and nobody else: then it is no news any more, and still unseen.
            changed |= set(self._cache.platforms(self._namespace))
        elif self._failures and self.kind == PLATFORM.kind:
            # The server was away: what could not be written to it meanwhile is due, whatever its next try waits for.
            changed |= set(self._cache.platforms(self._namespace))
        self._version, self._listed_at, self._list_reason = page.resource_version, self._monotonic(), ""
        if rewound:
            logger.warning("cluster_history_rewound", kind=self.kind, namespace=self._namespace)
            reason = "rewound"
            self._listed_at += self._times.rewind_grace_seconds - self._times.relist_seconds
        # Not `_alive`: a server that lists and then refuses every watch is still to be asked less and less often.
        self.active_at, self.problem = self._monotonic(), ""
        self.synced.set()
        self._observer.watch_relisted(self.kind, reason)
        for platform in sorted(changed):
            self._notify(platform)

    def _follow(self, stop: threading.Event) -> None:
        resource, selector = self._watched.resource, self._watched.label_selector
        # No longer than until the next list, or a quiet kind would be listed late.
        due = max(0.0, self.list_due_seconds())
        for event in self._cluster.watch(resource, self._version, self._namespace, selector, seconds=due):
            if stop.is_set():
                return
            platform = self._cache.apply_event(event)
            version = str(event.object["metadata"]["resourceVersion"])
            if event.type == "BOOKMARK" and version == self._version:
                # Open, and no more: a server that then drops each watch is still to be asked less and less often.
                self.active_at, self.problem = self._monotonic(), ""
                continue
            # Only what is in the cache counts as seen: after a failure above, the watch starts again before it.
            self._version = version
            self._alive()
            if platform is not None:
                self._notify(platform)
        self._alive()

    def _notify(self, platform: PlatformKey) -> None:
        namespace, name = platform
        if name:
            self._on_change(namespace, name)
        elif self._watched.namespace_wide:
            for one in self._cache.platforms(namespace or None):
                self._on_change(*one)

    def _alive(self) -> None:
        self.active_at = self._monotonic()
        self.problem = ""
        self._failures = 0

    def _note(self, error: ClusterError) -> None:
        if error.reason == "WatchStalled":
            self._observer.watch_stalled(self.kind)
        if error.reason in _CUT_OFF:
            self._list_reason = self._list_reason or "interrupted"
        elif error.reason == "BadResponse" and self._version:
            # A line was lost, and with it a change.
            self._list_reason = "bad_response"
        logger.warning("watch_interrupted", kind=self.kind, namespace=self._namespace, reason=error.reason)

    def _pause(self, problem: str, at_least: float | None = None) -> float:
        self.problem = problem
        times = self._times
        delay: float = min(times.backoff_max_seconds, times.backoff_initial_seconds * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(delay * (0.5 + self._jitter() / 2), at_least or 0.0)


def _number(version: str) -> int:
    """A resourceVersion as a number; -1 if it is not one."""
    return int(version) if version.isdigit() else -1


#: Thread restarts of one watcher within an hour after which the process is no longer trusted to mend itself.
RESTARTS_MAX = 5
RESTARTS_SECONDS = 3600.0


class _Thread(msgspec.Struct):
    watcher: Watcher
    thread: threading.Thread
    stop: threading.Event
    #: Monotonic times of the restarts within the last hour.
    restarted_at: tuple[float, ...] = ()


class WatchSet:
    """All watches, each in a thread of its own, and a supervisor that replaces threads that died or hang."""

    def __init__(
        self,
        cluster: Cluster,
        resources: Iterable[WatchedResource],
        cache: ObjectCache,
        on_change: OnChange,
        *,
        monotonic: Callable[[], float],
        observer: WatchObserver,
        namespaces: list[str] | None = None,
        times: WatchTimes | None = None,
        jitter: Callable[[], float] = random.random,
        interrupt: Callable[[], None] = lambda: None,
        supervise_seconds: float = 1.0,
    ) -> None:
        """`interrupt` ends the cluster's open watches, so that `stop` does not wait for them."""
        self._times, self._monotonic, self._observer = times or WatchTimes(), monotonic, observer
        self._interrupt, self._supervise_seconds = interrupt, supervise_seconds
        self._stop = threading.Event()
        self._slots: list[_Thread] = []
        self._supervisor: threading.Thread | None = None

        def watcher(watched: WatchedResource, namespace: str | None) -> Watcher:
            return Watcher(
                cluster,
                watched,
                namespace,
                cache,
                on_change,
                monotonic=monotonic,
                observer=observer,
                times=times,
                jitter=jitter,
            )

        places: list[str | None] = [*namespaces] if namespaces else [None]
        self._watchers = [watcher(watched, place) for watched in resources for place in places]

    def start(self) -> None:
        """Start all threads."""
        self._slots = [self._begin(watcher) for watcher in self._watchers]
        self._supervisor = threading.Thread(target=self._supervise, name="watch-supervisor", daemon=True)
        self._supervisor.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End all threads; one that hangs is left behind (it is a daemon and writes nothing any more)."""
        self._stop.set()
        for slot in self._slots:
            slot.stop.set()
        threads = [slot.thread for slot in self._slots]
        threads += [self._supervisor] if self._supervisor else []
        deadline = self._monotonic() + timeout_seconds
        while any(thread.is_alive() for thread in threads) and self._monotonic() < deadline:
            # Again and again: a thread may have been between two watches.
            self._interrupt()
            for thread in threads:
                thread.join(0.05)

    def wait_synced(self, timeout_seconds: float) -> bool:
        """Wait until every kind was listed once; False if the time was not enough."""
        deadline = self._monotonic() + timeout_seconds
        return all(watcher.synced.wait(max(0.0, deadline - self._monotonic())) for watcher in self._watchers)

    def healthy(self) -> list[str]:
        """Why the process should be restarted: threads that died or hung too often. Empty: it should not."""
        return [
            f"watch of {slot.watcher.name} died {len(slot.restarted_at)} times within an hour"
            for slot in self._slots
            if len(self._recent(slot.restarted_at)) > RESTARTS_MAX
        ]

    def problems(self) -> list[str]:
        """Why what is in the cache may be old, one line per kind. Empty: all is well. For readiness."""
        found = []
        for watcher in self._watchers:
            if not watcher.synced.is_set():
                found.append(f"{watcher.name} not listed yet" + (f": {watcher.problem}" if watcher.problem else ""))
            elif watcher.problem:
                found.append(f"{watcher.name}: {watcher.problem}")
        return found

    def _recent(self, times: tuple[float, ...]) -> tuple[float, ...]:
        since = self._monotonic() - RESTARTS_SECONDS
        return tuple(time for time in times if time > since)

    def _begin(self, watcher: Watcher, restarted_at: tuple[float, ...] = ()) -> _Thread:
        stop = threading.Event()
        watcher.active_at = self._monotonic()
        thread = threading.Thread(target=watcher.run, args=(stop,), name=f"watch-{watcher.name}", daemon=True)
        thread.start()
        return _Thread(watcher, thread, stop, restarted_at)

    def _supervise(self) -> None:
        while not self._stop.wait(self._supervise_seconds):
            for place, slot in enumerate(self._slots):
                silent_seconds = self._monotonic() - slot.watcher.active_at
                if slot.thread.is_alive() and silent_seconds < self._times.hang_seconds:
                    continue
                slot.stop.set()
                logger.error("watch_thread_replaced", kind=slot.watcher.kind, alive=slot.thread.is_alive())
                self._observer.watch_thread_restarted(slot.watcher.kind)
                restarted_at = (*self._recent(slot.restarted_at), self._monotonic())
                self._slots[place] = self._begin(slot.watcher, restarted_at)
