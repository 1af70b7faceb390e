"""Passes of the loop, one at a time, over an emulated cluster and a log in memory."""

import itertools
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.crd import build_crd
from eventstore import events as e
from eventstore.codec import decode
from eventstore.identifiers import uuid7
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import FINALIZER, ErrorCategory, Phase
from projections.state import PlatformState
from reconciler.shell import loop
from reconciler.shell.cache import ObjectCache
from reconciler.shell.clock import SystemClock
from reconciler.shell.cluster import ClusterError, ListPage
from reconciler.shell.dependencies import Dependencies
from reconciler.shell.executor import Executor
from reconciler.shell.loop import Reconciler
from reconciler.shell.metrics import Metrics
from reconciler.shell.resources import PLATFORM, SECRET, WATCHED
from reconciler.shell.sight import Sight
from reconciler.shell.states import States
from sandbox.assembly import Sandbox
from sandbox.cluster import SandboxCluster
from sandbox.faults import FaultPlan
from sandbox.model import Write

KEY = ("demo", "prod")
SPEC: dict[str, Any] = {"components": {"prometheus": {}}}


class Bench:
    """A reconciler whose passes and sights the test asks for."""

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self.model = Sandbox().model
        self.cluster = SandboxCluster(self.model, self.faults)
        self.cache = ObjectCache([*(watched.resource.kind for watched in WATCHED), SECRET.kind])
        self.log: EventLog = InMemoryEventLog()
        clock = SystemClock()
        dependencies = Dependencies(self.cluster, b"key", clock.monotonic, absent_seconds=0, present_seconds=0)
        self.sight = Sight(
            self.cluster,
            self.cache,
            dependencies,
            b"key",
            policy=e.Policy(),
            operator_version="test",
            monotonic=clock.monotonic,
            secrets_seconds=600,
        )
        lease = self.log.lease.acquire("test", 600)
        assert lease is not None
        self.states = States(self.log, Metrics(), lambda: 0.0)
        self.reconciler = Reconciler(
            log=self.log,
            states=self.states,
            sight=self.sight,
            executor=Executor(self.cluster, self.cache, self.log),
            cluster=self.cluster,
            cache=self.cache,
            clock=clock,
            new_id=_new_id,
            epoch=lambda: lease.epoch,
            announce=lambda state, events, first: None,
        )
        self._admin("apiextensions.k8s.io/v1", "CustomResourceDefinition", build_crd())
        self._admin("v1", "Namespace", {"metadata": {"name": "demo"}})

    def _admin(self, api_version: str, kind: str, body: dict[str, Any], namespace: str = "") -> None:
        found = self.model.registry.by_kind(api_version, kind)
        assert found is not None
        body = {"apiVersion": api_version, "kind": kind, **body}
        version = found.version(api_version.rpartition("/")[2])
        self.model.create(found, version, namespace, body, Write(manager="admin"))

    def apply(self, spec: dict[str, Any]) -> str:
        """The user's kubectl; the uid."""
        head = {"apiVersion": PLATFORM.api_version, "kind": PLATFORM.kind}
        body = {**head, "metadata": {"name": "prod", "namespace": "demo"}, "spec": spec}
        return str(self.cluster.apply(PLATFORM, "demo", body, manager="kubectl")["metadata"]["uid"])

    def watch(self) -> None:
        """What the watches would have told by now."""
        for watched in WATCHED:
            kind = watched.resource
            self.cache.replace(kind.kind, None, self.cluster.list_all(kind, None, watched.label_selector))

    def recorded(self, stream_id: str) -> list[e.Event]:
        """The stream."""
        return [decode(recorded) for recorded in self.log.read_stream(stream_id)]

    def state(self, stream_id: str) -> PlatformState:
        """The state as the log has it."""
        self.states.forget(stream_id)
        return self.states.load(stream_id).state


def _new_id(now: datetime) -> UUID:
    return uuid7(now, os.urandom(10))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_was_done_is_recorded_though_the_next_look_fails(bench: Bench) -> None:
    uid = bench.apply(SPEC)
    bench.watch()
    looks = itertools.count()
    _fail_when(bench, lambda: next(looks) == 1)
    with pytest.raises(ClusterError):
        bench.reconciler.reconcile(KEY)
    assert any(isinstance(event, e.FinalizerAdded) for event in bench.recorded(uid))


@pytest.mark.parametrize("change", ["edit", "deletion"])
def test_what_comes_in_with_the_answer_to_our_own_write_is_looked_at(bench: Bench, change: str) -> None:
    uid = bench.apply(SPEC)
    bench.watch()
    write = bench.cluster.apply_status

    def crossed(*args: Any, **kwargs: Any) -> Any:
        # Somebody is faster than our status by a moment: the watch will tell of it when it is no news any more.
        bench.cluster.apply_status = write  # type: ignore[method-assign]  # the seam of this test
        if change == "edit":
            bench.apply({"components": {"prometheus": {"retention": "3d"}}})
        else:
            bench.cluster.delete(PLATFORM, "demo", "prod", uid=uid)
        return write(*args, **kwargs)

    bench.cluster.apply_status = crossed  # type: ignore[method-assign]  # the seam of this test
    assert bench.reconciler.reconcile(KEY).again_after_seconds == 0.0
    bench.reconciler.reconcile(KEY)
    seen = {type(event) for event in bench.recorded(uid)}
    generations = [event.generation for event in bench.recorded(uid) if isinstance(event, e.PlatformObserved)]
    assert generations[-1] == 2 if change == "edit" else e.DeletionRequested in seen


def test_what_came_of_the_last_round_of_a_pass_is_recorded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ROUNDS_MAX", 1)
    uid = bench.apply(SPEC)
    bench.watch()
    result = bench.reconciler.reconcile(KEY)
    assert any(isinstance(event, e.FinalizerAdded) for event in bench.recorded(uid))
    assert bench.state(uid).phase is Phase.INSTALLING
    assert result.again_after_seconds == 0.0


def test_a_stream_that_cannot_be_worked_on_does_not_hold_up_another_of_its_name(bench: Bench) -> None:
    old = "00000000-0000-4000-8000-000000000000"
    new = bench.apply(SPEC)
    bench.watch()
    bench.reconciler._open_streams[KEY] = {old}  # as adopted from a log with two streams of this name
    load = bench.states.load

    def failing(stream_id: str) -> Any:
        if stream_id == old:
            raise RuntimeError("a bug that one stream brings to light")
        return load(stream_id)

    bench.states.load = failing  # type: ignore[method-assign]  # the seam of this test
    with pytest.raises(RuntimeError, match="a bug"):
        bench.reconciler.reconcile(KEY)
    assert bench.log.read_stream(new)


def _fail_when(bench: Bench, due: Callable[[], bool]) -> None:
    look = bench.sight.look

    def failing(*given: Any) -> Any:
        if due():
            raise ClusterError(ErrorCategory.TRANSIENT, "Unreachable", "no route")
        return look(*given)

    bench.sight.look = failing  # type: ignore[method-assign,assignment]  # the seam of this test


def test_a_finalizer_that_is_on_though_the_watch_has_not_told_yet_is_asked_for_once(bench: Bench) -> None:
    uid = bench.apply(SPEC)
    bench.watch()
    found = bench.cluster.get(PLATFORM, "demo", "prod")
    assert found is not None
    version = found["metadata"]["resourceVersion"]
    bench.cluster.set_finalizers(PLATFORM, "demo", "prod", [FINALIZER], uid=uid, resource_version=version)
    bench.reconciler.reconcile(KEY)
    events = bench.recorded(uid)
    assert len([event for event in events if isinstance(event, e.FinalizerAdded)]) == 1
    assert [event for event in events if isinstance(event, e.FinalizerStripped)] == []


def test_a_platform_for_which_nothing_follows_from_its_deadline_is_not_looked_at_with_every_tick(bench: Bench) -> None:
    uid = bench.apply(SPEC)
    bench.watch()
    bench.reconciler.reconcile(KEY)
    state = bench.state(uid)
    assert bench.reconciler.keys_due([uid]) == [KEY]
    # Its deadline passes, and nothing follows from it.
    bench.reconciler._note_served(state, _long_after(state))
    assert bench.reconciler.keys_due([uid]) == []
    bench.apply({**SPEC, "paused": True})
    bench.watch()
    bench.reconciler.reconcile(KEY)
    assert bench.reconciler.keys_due([uid]) == [KEY]


def _long_after(state: PlatformState) -> datetime:
    assert state.updated_at is not None
    return state.updated_at + timedelta(hours=1)


def test_a_watch_that_lags_behind_the_log_is_told_from_a_cluster_that_was_restored_by_a_fresh_read(
    bench: Bench,
) -> None:
    uid = bench.apply(SPEC)
    bench.watch()
    bench.reconciler.reconcile(KEY)
    found = bench.cluster.get(PLATFORM, "demo", "prod")
    assert found is not None
    bench.apply({"components": {"prometheus": {"retention": "3d"}}})
    bench.watch()
    bench.reconciler.reconcile(KEY)
    bench.cache.replace(PLATFORM.kind, None, ListPage([found], "1"), rewound=True)
    bench.reconciler.reconcile(KEY)
    assert not any(isinstance(event, e.ClusterRewound) for event in bench.recorded(uid)), "the watch only lagged"
    bench.cache.replace(PLATFORM.kind, None, ListPage([found], "1"), rewound=True)
    bench.cluster.get = lambda *_: found  # type: ignore[method-assign]  # the cluster is restored
    bench.reconciler.reconcile(KEY)
    rewound = [event for event in bench.recorded(uid) if isinstance(event, e.ClusterRewound)]
    assert rewound == [e.ClusterRewound(recorded_generation=2, generation=1)]
    observed = bench.state(uid).observed
    assert observed is not None
    assert observed.generation == 1
