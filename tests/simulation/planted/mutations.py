"""Mistakes planted on purpose: each is a small change of the code that a checker must notice.

A mutation is a context manager; while it is open the code is wrong, and its docstring says how.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
import structlog
from msgspec.structs import replace

from api.redaction import redact
from eventstore import memory
from eventstore.appending import judge
from eventstore.events import ActionSucceeded, FinalizerReleaseRequested, LastKnownGoodRecorded
from eventstore.vocabulary import Phase, Trigger
from reconciler.core import conclude, decide, observe, plan, progress, recovery, retry, transitions
from reconciler.shell import executor, loop, sight
from reconciler.shell.announcer import Announcer
from reconciler.shell.cache import ObjectCache
from reconciler.shell.executor import Executor
from reconciler.shell.loop import Reconciler, Result
from reconciler.shell.resources import SECRET, resource_for
from reconciler.shell.sight import Sight
from reconciler.shell.states import Known, States
from reconciler.shell.watches import Watcher
from simulator.faults import FaultKind


class Planted(msgspec.Struct, frozen=True):
    """A mistake, and where to look for what it does."""

    plant: Callable[[], AbstractContextManager[None]]
    #: Checkers of which one must notice, by their names.
    caught_by: frozenset[str]
    workload: str
    #: Faults of these kinds, tried one after the other; none: it shows in the undisturbed run.
    kinds: tuple[FaultKind, ...] = ()

    @property
    def name(self) -> str:
        """Of the function."""
        return str(getattr(self.plant, "__name__", ""))


PLANTED: list[Planted] = []
_Plant = Callable[[], Iterator[None]]


def planted(caught_by: str, workload: str, *kinds: FaultKind) -> Callable[[_Plant], _Plant]:
    """Put a mutation on the list."""

    def register(plant: _Plant) -> _Plant:
        PLANTED.append(Planted(contextmanager(plant), frozenset(caught_by.split()), workload, kinds))
        return plant

    return register


def planted_by_name(name: str) -> AbstractContextManager[None]:
    """The mutation of this name."""
    return next(one for one in PLANTED if one.name == name).plant()


# -- the ledger ----------------------------------------------------------------------------------------------------


@planted("S9", "upgrade", FaultKind.DEPOSE)
def epoch_not_checked() -> Iterator[None]:
    """An append under the epoch of a lease that is over is accepted."""

    def lenient(append: Any, *, head_version: int, current_epoch: int, known: Any) -> Any:
        return judge(append, head_version=head_version, current_epoch=0, known=known)

    with patch.object(memory, "judge", lenient):
        yield


@planted("S3", "create")
def projection_left_behind() -> Iterator[None]:
    """The stored state is not written with every append."""
    put = memory.InMemoryEventLog._put_state

    def sometimes(self: Any, stream_id: str, version: int, head_hash: bytes, record: Any) -> None:
        if version % 3:
            put(self, stream_id, version, head_hash, record)

    with patch.object(memory.InMemoryEventLog, "_put_state", sometimes):
        yield


@planted("S5 S3", "edit", FaultKind.PRE)
def failed_append_taken_for_done() -> Iterator[None]:
    """After an append that failed, the state that it was to store is believed."""
    append = States.append

    def hopeful(self: States, before: Known, after: Any, events: Any, **fields: Any) -> Known:
        try:
            return append(self, before, after, events, **fields)
        except BaseException:
            self._remember(after.stream_id, Known(after, before.head_hash))
            raise

    with patch.object(States, "append", hopeful):
        yield


@planted("S15", "create")
def secret_in_the_ledger() -> Iterator[None]:
    """The spec is recorded as it is, passwords and all."""

    def plain(spec: Any, *, secret_name: str) -> Any:
        return replace(redact(spec, secret_name=secret_name), spec=spec)

    with patch.object(sight, "redact", plain):
        yield


@planted("S17", "create")
def observed_again_and_again() -> Iterator[None]:
    """What is seen is recorded with every look, changed or not."""
    with patch.object(observe, "_same", lambda _before, _seen: False):
        yield


@planted("S7", "heal")
def chance_in_a_decision() -> Iterator[None]:
    """The delay of a retry is drawn, so that a replay draws another one."""
    chance = Random(1)
    with patch.object(retry, "_spread", lambda _stream, _attempt: chance.random()):
        yield


# -- decisions -----------------------------------------------------------------------------------------------------


@planted("S8", "edit")
def arrow_that_is_not_in_the_diagram() -> Iterator[None]:
    """A minor edit leads from Ready to Installing."""
    key = (Phase.READY, Trigger.MINOR_UPDATE)
    with patch.dict(transitions.TRANSITIONS, {key: Phase.INSTALLING}):
        yield


@planted("S7 S19", "heal", FaultKind.DIE_AFTER)
def retry_counter_in_memory() -> Iterator[None]:
    """Attempts are counted by the process: a restart begins anew."""
    counted: Counter[str] = Counter()
    adopt, schedule = Reconciler.adopt_open_streams, recovery._schedule

    def forgetful(self: Reconciler) -> Any:
        counted.clear()
        return adopt(self)

    def from_memory(state: Any, failure: Any, now: Any) -> Any:
        decided: Any = schedule(state, failure, now)
        counted[state.stream_id] += 1
        return replace(decided, attempt=counted[state.stream_id])

    with patch.object(Reconciler, "adopt_open_streams", forgetful), patch.object(recovery, "_schedule", from_memory):
        yield


@planted("S19 E8", "create", FaultKind.PRE)
def retries_do_not_wait() -> Iterator[None]:
    """A failed write is tried again at once, whatever the scheduled instant."""
    with patch.object(plan, "_retry_pending", lambda _state, _now: False):
        yield


@planted("S20", "create")
def known_good_before_it_is_proved() -> Iterator[None]:
    """Last-known-good names another manifest than the one that was applied."""

    def another(**fields: Any) -> Any:
        return LastKnownGoodRecorded(**{**fields, "manifests": dict.fromkeys(fields["manifests"], "sha256:another")})

    with patch.object(progress, "LastKnownGoodRecorded", another):
        yield


@planted("S11", "pause", FaultKind.LOSE_CHILD)
def pause_not_heeded() -> Iterator[None]:
    """Writes are planned and sent though the platform is paused."""
    planning, requests = plan.plan, plan.open_requests

    def restless(state: Any, now: Any) -> Any:
        return planning(replace(state, paused=False), now)

    def sending(state: Any, now: Any) -> Any:
        return requests(replace(state, paused=False), now)

    with patch.object(conclude, "plan", restless), patch.object(loop, "open_requests", sending):
        yield


@planted("S13", "delete")
def finalizer_released_early() -> Iterator[None]:
    """The finalizer is taken off as soon as deletion is asked for, and the children are forgotten."""

    def at_once(state: Any, now: Any) -> Any:
        if state.finalizer_request or not state.finalizer:
            return plan.Plan()
        return plan.Plan((FinalizerReleaseRequested(),))

    def unseen(state: Any, now: Any) -> Any:
        return requests(replace(state, objects={}) if state.deletion_requested_at else state, now)

    requests = plan.open_requests
    forget = observe._observe_objects
    with (
        patch.object(plan, "_plan_teardown", at_once),
        patch.object(loop, "open_requests", unseen),
        patch.object(observe, "_observe_objects", forget),
    ):
        yield


@planted("E1 O2 E3", "edit")
def spec_judged_once_for_all() -> Iterator[None]:
    """A later generation is never judged."""
    judged = decide._decide_spec

    def once(state: Any) -> Any:
        return () if state.accepted is not None else judged(state)

    with patch.object(decide, "_decide_spec", once):
        yield


@planted("E1 O2", "edit", FaultKind.LOSE_CHILD)
def absence_not_noticed() -> Iterator[None]:
    """A child that is gone is not missed."""
    with patch.object(observe, "_observe_absence", lambda _state, _child: iter(())):
        yield


# -- observing -----------------------------------------------------------------------------------------------------


@planted("S16 S20 O2 O3 E3", "edit", FaultKind.DIE_STALE)
def old_sight_believed() -> Iterator[None]:
    """A resource older than what is recorded is taken for news."""
    with (
        patch.object(observe, "is_behind", lambda _state, _seen: False),
        patch.object(sight, "is_behind", lambda _state, _seen: False),
    ):
        yield


@planted("E1 E3 S4", "edit", FaultKind.SPOIL_STATUS)
def status_read_back() -> Iterator[None]:
    """A platform whose status says Ready for its generation is left alone."""
    reconcile = Reconciler.reconcile

    def early(self: Reconciler, key: Any) -> Result:
        found = self._sight.resource(*key) or {"metadata": {}}
        shown = found.get("status") or {}
        seen = shown.get("observedGeneration", 0) >= found["metadata"].get("generation", 1)
        if shown.get("phase") == "Ready" and seen and "deletionTimestamp" not in found["metadata"]:
            return Result()
        return reconcile(self, key)

    with patch.object(Reconciler, "reconcile", early):
        yield


@planted("E1 E3 E4 S17", "edit")
def changes_not_passed_on() -> Iterator[None]:
    """A watch fills the cache and tells nobody."""
    with patch.object(Watcher, "_notify", lambda _self, _platform: None):
        yield


@planted("E1 E3 O2 S18", "edit", FaultKind.EDIT)
def edit_hidden_by_our_own_write() -> Iterator[None]:
    """Nobody remembers an edit that came back with the answer to a write of ours."""
    with patch.object(loop, "_is_news", lambda _before, _now: False):
        yield


@planted("E1 E4 O2 S18", "delete")
def deletions_not_taken_in() -> Iterator[None]:
    """The cache keeps what a watch says is deleted."""
    take_in = ObjectCache.apply_event

    def deaf(self: ObjectCache, event: Any) -> Any:
        return None if event.type == "DELETED" else take_in(self, event)

    with patch.object(ObjectCache, "apply_event", deaf):
        yield


# -- writes --------------------------------------------------------------------------------------------------------


@planted("S5", "create")
def write_before_the_decision() -> Iterator[None]:
    """What is decided is sent first and recorded afterwards."""
    append = Reconciler._append

    def eager(self: Reconciler, this: Any, known: Any, after: Any, events: Any, now: Any) -> Any:
        platform = self._sight.resource(after.namespace, after.name)
        if platform is not None:
            list(self._executor.execute(after, plan.open_requests(after, now), platform))
        return append(self, this, known, after, events, now)

    with patch.object(Reconciler, "_append", eager):
        yield


@planted("S5 S12", "delete", FaultKind.REPLACE_CHILD)
def delete_by_name() -> Iterator[None]:
    """Whatever has the name is deleted, whoever made it."""

    def by_name(self: Executor, state: Any, request: Any, ref: Any) -> Any:
        resource = resource_for(ref.api_version, ref.kind)
        found = self._cluster.get(resource, state.namespace, ref.name)
        if found is not None:
            self._cluster.delete(resource, state.namespace, ref.name, uid=found["metadata"]["uid"])
        return ActionSucceeded(request=request.version, ref=ref, uid=request.uid)

    with patch.object(Executor, "_delete", by_name):
        yield


@planted("F30", "edit", FaultKind.REPLACE_CHILD)
def adopted_in_silence() -> Iterator[None]:
    """An object that somebody else made is taken over."""
    with patch.object(executor, "_refuse_foreign", lambda *_: None):
        yield


@planted("F34 S5", "delete", FaultKind.DIE_AFTER, FaultKind.POST)
def password_made_again() -> Iterator[None]:
    """A Secret that is to be made once is applied again when its outcome is not known."""
    manifest = Executor._manifest

    def changeable(self: Executor, state: Any, digest: str) -> Any:
        return replace(manifest(self, state, digest), create_only=False)

    with patch.object(Executor, "_manifest", changeable):
        yield


@planted("S14 S5", "create")
def another_namespace() -> Iterator[None]:
    """Children are made where the operator likes them to be."""
    complete = executor._complete

    def elsewhere(manifest: Any, state: Any, platform: Any) -> Any:
        body = complete(manifest, state, platform)
        return {**body, "metadata": {**body["metadata"], "namespace": "default"}}

    apply = Executor._apply

    def there(self: Executor, state: Any, request: Any, ref: Any, platform: Any, may_act: Any) -> Any:
        yield from apply(self, replace(state, namespace="default"), request, ref, platform, may_act)

    with patch.object(executor, "_complete", elsewhere), patch.object(Executor, "_apply", there):
        yield


@planted("S22", "delete")
def empty_name() -> Iterator[None]:
    """A look at a Secret forgets which."""

    def nameless(self: Sight, namespace: str, child: Any) -> None:
        self._cluster.get(SECRET, namespace, "")

    with patch.object(Sight, "_check_secret", nameless):
        yield


@planted("S10 S16", "edit", FaultKind.TAKEOVER_EDIT)
def lease_looked_at_once() -> Iterator[None]:
    """A pass that was begun under a lease is carried out to its end, whoever has the lease by then."""
    execute = Executor.execute

    def stubborn(self: Executor, state: Any, requests: Any, platform: Any, _may_act: Any) -> Any:
        return execute(self, state, requests, platform)

    with patch.object(Executor, "execute", stubborn):
        yield


# -- telling -------------------------------------------------------------------------------------------------------


@planted("E6", "create", FaultKind.DIE_BEFORE, FaultKind.PRE)
def cursor_moved_before_the_deed() -> Iterator[None]:
    """The outbox is marked as done before anything of it was published."""
    publish = Announcer.publish

    def rash(self: Announcer) -> int:
        pending = self._outbox.pending()
        if not pending:
            return 0
        self._outbox.done(pending[-1])
        with (
            patch.object(type(self._outbox), "pending", lambda _self: pending),
            patch.object(type(self._outbox), "done", lambda _self, _last: None),
        ):
            return publish(self)

    with patch.object(Announcer, "publish", rash):
        yield


# -- what the server says ------------------------------------------------------------------------------------------


@planted("E1 E3", "edit", FaultKind.GONE)
def no_list_after_410() -> Iterator[None]:
    """A watch that the server refuses as too old is asked for again, from the same version."""
    step = Watcher.step

    def stubborn(self: Watcher, stop: Any) -> float:
        pause = step(self, stop)
        if self._list_reason == "expired":
            self._list_reason = ""
        return pause

    with patch.object(Watcher, "step", stubborn):
        yield


@planted("S15", "create")
def password_in_a_log_line() -> Iterator[None]:
    """Whoever sends a Secret logs what is in it."""
    complete = executor._complete

    def talkative(manifest: Any, state: Any, platform: Any) -> Any:
        body = complete(manifest, state, platform)
        structlog.get_logger().info("applying", name=body["metadata"]["name"], content=[*body.get("data", {}).values()])
        return body

    with patch.object(executor, "_complete", talkative):
        yield


@planted("S15", "delete")
def generated_password_in_a_log_line() -> Iterator[None]:
    """A password is logged when it is made."""
    make = executor._secret_value

    def talkative(source: Any, inline: Any) -> str:
        value = make(source, inline)
        structlog.get_logger().debug("value_made", made=value)
        return value

    with patch.object(executor, "_secret_value", talkative):
        yield


@planted("E8", "components", FaultKind.USURP)
def lease_asked_for_without_a_rest() -> Iterator[None]:
    """A process that the log says has lost its lease looks again at once, and again."""
    execute = Executor.execute

    def restless(self: Executor, *arguments: Any) -> Iterator[Any]:
        done: list[Any] = []
        for _ in range(30):
            done = done or list(execute(self, *arguments))
        return iter(done)

    with patch.object(Executor, "execute", restless):
        yield
