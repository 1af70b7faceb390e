"""One replica of the operator: the parts that `reconciler.app` wires, on virtual time, moved step by step.

Nothing in it sleeps and no thread runs: each thing its threads would do is a `Duty` that the scheduler calls.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import Random
from typing import Any, cast

import msgspec

from eventstore.errors import CorruptEventError, StoreError, UnknownEventError
from eventstore.events import Event, Policy
from eventstore.identifiers import uuid7
from projections.state import PlatformState
from reconciler.shell.announcer import Announcer
from reconciler.shell.cache import ObjectCache, PlatformKey
from reconciler.shell.cluster import ClusterError
from reconciler.shell.dependencies import Dependencies
from reconciler.shell.executor import Executor
from reconciler.shell.leadership import Leadership
from reconciler.shell.loop import Reconciler, Result
from reconciler.shell.metrics import Metrics
from reconciler.shell.resources import SECRET, WATCHED, WatchedResource
from reconciler.shell.sight import Sight
from reconciler.shell.states import States
from reconciler.shell.watches import Watcher, WatchTimes
from reconciler.shell.work_queue import WorkQueue
from reconciler.shell.workers import Workers
from simulator.clock import WallClock
from simulator.ports import ClusterPort, Gate, LogPort, OutboxPort
from simulator.universe import Universe

HMAC_KEY = b"a key for simulations, and for them only"
#: Longer than in a cluster: an idle minute of a run should be a few steps.
TTL_SECONDS, RENEW_SECONDS = 60.0, 20.0
RESYNC_SECONDS = 600.0
ANNOUNCE_SECONDS = 1.0
#: How long the watches lag of a replica that began with old lists.
STALE_SECONDS = 10.0
POLICY = Policy()
VERSION = "simulated"
_NEVER = float("inf")


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the replicas of a run."""

    policy: Policy = POLICY
    version: str = VERSION


class Duty(msgspec.Struct, frozen=True):
    """Something a replica does when it is time."""

    name: str
    #: Monotonic time from which on it is due; infinity: not before something changes.
    due_at: float
    do: Callable[[], None]
    #: It comes back for ever, whatever happens: no sign that anything is left to do.
    periodic: bool = False


class _Silent:
    """Stands for the metrics: counts nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


class _Eyes:
    """The reconciler as the workers see it; it remembers the crashes that they only log."""

    def __init__(self, replica: "Replica") -> None:
        self._replica = replica

    def reconcile(self, key: PlatformKey) -> Result:
        self._replica.working_on = key
        try:
            return self._replica.reconciler.reconcile(key)
        except (ClusterError, StoreError):
            raise
        except Exception as error:
            self._replica.crashes.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            self._replica.working_on = None


class Replica:
    """A process of the operator. Its memory ends with it."""

    def __init__(self, universe: Universe, name: str, seed: str, gate: Gate, timing: Timing | None = None) -> None:
        self.name, self._universe = name, universe
        self._timing = timing or Timing()
        self._random = Random(seed)
        self.clock = WallClock(universe.clock)
        self.alive = True
        #: Standing still: nothing of it moves, and it does not know.
        self.stalled = False
        #: The call at which it last stood still.
        self.slept_at = 0
        #: Duties that wait for an answer which does not come; the others go on.
        self.hung: set[str] = set()
        #: Kinds whose watch has lost its connection.
        self._cut: set[str] = set()
        #: What its passes raised that no pass should raise.
        self.crashes: list[str] = []
        self.working_on: PlatformKey | None = None
        #: Its first lists show the cluster as of this revision, and its watches begin late; 0: as it is.
        self.lists_from = 0
        cluster, log = ClusterPort(universe.cluster, name, gate), LogPort(universe.log, name, gate)
        self.log = log
        monotonic = self.clock.monotonic
        metrics = cast("Metrics", _Silent())
        self.cache = ObjectCache([*(watched.resource.kind for watched in WATCHED), SECRET.kind])
        self.queue: WorkQueue[PlatformKey] = WorkQueue(monotonic)
        self.states = States(log, metrics, monotonic)
        self.leadership = Leadership(
            log.lease, name, TTL_SECONDS, RENEW_SECONDS, monotonic=monotonic, on_gain=self._on_gain
        )
        self.reconciler = self._reconciler(cluster)
        eyes = cast("Reconciler", _Eyes(self))
        self._workers = Workers(eyes, self.queue, metrics, self.clock, 1)
        self._stop = threading.Event()
        self._watchers = [self._watcher(cluster, watched, metrics) for watched in WATCHED]
        #: Watcher -> when it may move again.
        self._watch_at = dict.fromkeys((watcher.kind for watcher in self._watchers), 0.0)
        outbox = OutboxPort(universe.log, universe.outbox, name, gate)
        self.announcer = Announcer(
            outbox, cluster, lambda stream_id: self.states.load(stream_id).state, self.clock, name
        )
        self._held: dict[str, float] = {}
        self._lease_at = self._announce_at = 0.0
        self._stale_until = monotonic() + STALE_SECONDS
        self._tick_at, self._resync_at = 0.0, monotonic() + RESYNC_SECONDS

    def _reconciler(self, cluster: ClusterPort) -> Reconciler:
        dependencies = Dependencies(
            cluster,
            HMAC_KEY,
            self.clock.monotonic,
            absent_seconds=POLICY.prerequisite_poll_seconds / 2,
            present_seconds=RESYNC_SECONDS,
        )
        return Reconciler(
            log=self.log,
            states=self.states,
            sight=Sight(
                cluster,
                self.cache,
                dependencies,
                HMAC_KEY,
                policy=self._timing.policy,
                operator_version=self._timing.version,
                monotonic=self.clock.monotonic,
                secrets_seconds=RESYNC_SECONDS,
            ),
            executor=Executor(cluster, self.cache, self.log),
            cluster=cluster,
            cache=self.cache,
            clock=self.clock,
            new_id=lambda now: uuid7(now, self._random.randbytes(10)),
            epoch=self.leadership.epoch,
            announce=_ignore,
        )

    def _watcher(self, cluster: ClusterPort, watched: WatchedResource, metrics: Metrics) -> Watcher:
        return Watcher(
            cluster,
            watched,
            None,
            self.cache,
            self._on_change,
            monotonic=self.clock.monotonic,
            observer=metrics,
            times=WatchTimes(),
            jitter=lambda: 0.5,
        )

    # -- duties ----------------------------------------------------------------------------------------------------

    def duties(self) -> Iterator[Duty]:
        """Everything that its threads would do, and when; in the order of an unhurried process."""
        if self.hung:
            yield from (duty for duty in self._duties() if duty.name not in self.hung)
        else:
            yield from self._duties()

    def _duties(self) -> Iterator[Duty]:
        for watcher in self._watchers:
            yield self._watch_duty(watcher)
        if not all(watcher.synced.is_set() for watcher in self._watchers):
            return
        yield Duty("lease", self._lease_at, self._hold_lease, periodic=True)
        yield Duty("work", self._work_due(), self._work)
        yield Duty("tick", self._tick_due(), self._tick)
        yield Duty("announce", self._announce_due(), self._announce)
        yield Duty("resync", self._resync_at, self._resync, periodic=True)

    def lags(self) -> bool:
        """Whether its watches have not begun yet."""
        return bool(self.lists_from) and self._stale_until > self.clock.monotonic()

    def hold_watch(self, kind: str, seconds: float) -> None:
        """The watch of a kind hears nothing for so long."""
        self._held[kind] = self.clock.monotonic() + seconds

    def cut_watches(self) -> set[str]:
        """Every connection is lost: each watch finds out with its next step; their kinds."""
        self._cut = {watcher.kind for watcher in self._watchers}
        return set(self._cut)

    def leads(self) -> bool:
        """Whether it believes that it may act."""
        return self.leadership.epoch() is not None

    def _hold_lease(self) -> None:
        self._lease_at = self.clock.monotonic() + RENEW_SECONDS
        # The second thread of the leadership looks at the clock first.
        self.leadership.look_at_clock()
        self.leadership.step()

    def _watch_duty(self, watcher: Watcher) -> Duty:
        at = self._watch_at[watcher.kind]
        changed = self._universe.changed_at.get(watcher.kind, 0) > watcher.version or watcher.wants_list
        if changed or watcher.problem or watcher.kind in self._cut:
            return Duty(f"watch {watcher.kind}", at, lambda: self._watch(watcher))
        listed_at = self.clock.monotonic() + watcher.list_due_seconds()
        return Duty(f"watch {watcher.kind}", max(at, listed_at + 0.001), lambda: self._watch(watcher), periodic=True)

    def _watch(self, watcher: Watcher) -> None:
        if watcher.synced.is_set() and self.lags():
            self._watch_at[watcher.kind] = self._stale_until
            return
        self._cut.discard(watcher.kind)
        pause = watcher.step(self._stop)
        self._watch_at[watcher.kind] = max(self.clock.monotonic() + pause, self._held.pop(watcher.kind, 0.0))

    def _work_due(self) -> float:
        if len(self.queue):
            return 0.0
        due = self.queue.next_due()
        return _NEVER if due is None else due

    def _work(self) -> None:
        key = self.queue.get(0.0)
        if key is not None:
            self._workers.work_on(key)

    def _tick_due(self) -> float:
        """The job runs every second; the simulation skips those in which nothing is due."""
        if not self.leads():
            return _NEVER
        clock = self._universe.clock
        due = [
            clock.at(stored.record.due_at) - self.clock.wrong_by_seconds
            for stored in self._universe.log.list_states()
            if stored.record.due_at is not None and not self.reconciler.is_served(stored.stream_id, stored.version)
        ]
        return max(min(due, default=_NEVER), self._tick_at)

    def _tick(self) -> None:
        self._tick_at = self.clock.monotonic() + 1.0
        self._job(lambda: self._add(self.reconciler.keys_due(self.log.due_streams(self.clock.now()))))

    def _resync(self) -> None:
        self._resync_at = self.clock.monotonic() + RESYNC_SECONDS
        self._add({*self.cache.platforms(), *self.reconciler.open_keys()})

    def _announce_due(self) -> float:
        behind = self._universe.log.head_position() > self._universe.outbox.position
        return self._announce_at if behind and self.leads() else _NEVER

    def _announce(self) -> None:
        self._announce_at = self.clock.monotonic() + ANNOUNCE_SECONDS
        self._job(self.announcer.publish)

    def _job(self, job: Callable[[], Any]) -> None:
        """As the schedule runs it: the next run may do better."""
        try:
            job()
        except (ClusterError, StoreError):
            pass
        except Exception as error:
            self.crashes.append(f"{type(error).__name__}: {error}")

    # -- wake-ups --------------------------------------------------------------------------------------------------

    def _add(self, keys: Iterable[PlatformKey]) -> None:
        for key in sorted(keys):
            self.queue.add(key)

    def _on_change(self, namespace: str, name: str) -> None:
        self._add([(namespace, name)] if name else self.cache.platforms(namespace))

    def _on_gain(self, _epoch: int) -> None:
        try:
            keys = self.reconciler.adopt_open_streams()
            self._show_gauges()
        except StoreError:
            keys = []
        self._add({*keys, *self.cache.platforms()})

    def _show_gauges(self) -> None:
        for stream_id in self.reconciler.open_stream_ids():
            with suppress(UnknownEventError, CorruptEventError):
                self.states.load(stream_id)


def _ignore(state: PlatformState, events: Iterable[Event], first_version: int) -> None:
    """Metrics and logs are not simulated."""
