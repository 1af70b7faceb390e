"""Mistakes in what comes after what, and in what no comparison with the undisturbed run can show.

A mutation is a context manager; while it is open the code is wrong, and its docstring says how.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from components import assembly, pods
from eventstore.events import (
    ActionSucceeded,
    BackupCompleted,
    BackupFailed,
    BackupStarted,
    ChildGone,
    FinalizerStripped,
    SpecAccepted,
    SpecQuarantined,
)
from eventstore.vocabulary import FINALIZER, INSTALL_ORDER
from projections import platform as folding
from reconciler.core import decide, desired, observe, plan, progress, recovery
from reconciler.shell import executor, loop
from reconciler.shell.executor import Executor
from reconciler.shell.resources import resource_for
from simulator.faults import FaultKind
from tests.simulation.planted.mutations import planted


@planted("S23", "create")
def components_all_at_once() -> Iterator[None]:
    """No component waits for the one before it."""
    step = progress._step

    def impatient(state: Any, name: Any, component: Any, now: Any, *, gate_open: bool) -> Any:
        return step(state, name, component, now, gate_open=True)

    with patch.object(progress, "_step", impatient):
        yield


@planted("S23", "create")
def objects_before_their_turn() -> Iterator[None]:
    """Components wait for each other, their objects do not."""
    with patch.object(plan, "_has_its_turn", lambda _state, _name: True):
        yield


@planted("S23", "create")
def no_stability_window() -> Iterator[None]:
    """A component counts as Ready as soon as it is seen ready."""

    def at_once(_state: Any, component: Any) -> Any:
        return component.ready_since and max(component.ready_since, component.phase_since)

    with patch.object(progress, "ready_at", at_once):
        yield


@planted("S23", "delete")
def teardown_in_install_order() -> Iterator[None]:
    """What was installed first is deleted first."""

    def first(state: Any) -> Any:
        present = {child.component for child in state.objects.values()}
        return next((name for name in INSTALL_ORDER if name in present), None)

    with patch.object(plan, "_last_component", first):
        yield


@planted("S24", "upgrade")
def no_backup() -> Iterator[None]:
    """An upgrade begins, and nothing was put by."""
    upgrade = decide._decide_upgrade

    def bold(state: Any, before: Any, after: Any) -> Any:
        backup = (BackupStarted, BackupCompleted, BackupFailed)
        return tuple(one for one in upgrade(state, before, after) if not isinstance(one, backup))

    with patch.object(decide, "_decide_upgrade", bold):
        yield


@planted("S24", "failing-upgrade")
def no_quarantine() -> Iterator[None]:
    """A rollback does not note what failed."""
    fail = recovery._fail_upgrade

    def forgetful(state: Any, reason: str, message: str) -> Any:
        return tuple(one for one in fail(state, reason, message) if not isinstance(one, SpecQuarantined))

    with patch.object(recovery, "_fail_upgrade", forgetful):
        yield


@planted("S19", "exhausted")
def retries_not_reset() -> Iterator[None]:
    """A spec that was fixed is tried as often as the one before it had left."""
    accepted = folding.evolve_spec_accepted

    def going_on(state: Any, event: Any, at: Any) -> Any:
        return {**accepted(state, event, at), "retry_wanted": state.retry_wanted}

    with patch.dict(folding._EVOLVERS, {SpecAccepted: going_on}):
        yield


@planted("S19", "exhausted")
def one_retry_too_many() -> Iterator[None]:
    """The last retry is followed by another one."""
    failed = recovery.decide_failed

    def stubborn(state: Any, now: Any) -> Any:
        return failed(replace(state, policy=replace(state.policy, retries_max=state.policy.retries_max + 1)), now)

    with patch.object(decide, "decide_failed", stubborn):
        yield


@planted("S19", "create", FaultKind.ODD_ANSWER)
def retry_after_ignored() -> Iterator[None]:
    """How long the server asked to be left alone is not heeded."""
    schedule = recovery._schedule

    def pushing(state: Any, failure: Any, now: Any) -> Any:
        return schedule(state, replace(failure, retry_after_seconds=0.0), now)

    with patch.object(recovery, "_schedule", pushing):
        yield


# -- what the undisturbed run does wrong as well -------------------------------------------------------------------


@planted("E1", "scale")
def first_password_kept() -> Iterator[None]:
    """A password that stood in the spec once is written for ever."""
    seen: dict[tuple[str, str], str] = {}
    inline = executor._inline_values

    def remembered(state: Any, platform: Any) -> dict[str, str]:
        return {
            path: seen.setdefault((state.stream_id, path), value) for path, value in inline(state, platform).items()
        }

    with patch.object(executor, "_inline_values", remembered):
        yield


@planted("S12", "delete")
def volumes_always_deleted() -> Iterator[None]:
    """Volumes go with their StatefulSet, whatever the spec says."""
    make = pods.stateful_set

    def rash(context: Any, name: Any, template: Any) -> Any:
        body = make(context, name, template)
        body["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
        return body

    with patch.object(assembly, "stateful_set", rash), _rendered_anew():
        yield


@contextmanager
def _rendered_anew() -> Iterator[None]:
    """What was rendered before, and what is rendered now, is not remembered."""
    for cached in (desired._rendered, desired._objects):
        cached.cache_clear()
    try:
        yield
    finally:
        for cached in (desired._rendered, desired._objects):
            cached.cache_clear()


@planted("S13", "held")
def foreign_finalizers_dropped() -> Iterator[None]:
    """Our finalizer is put on in the place of all others."""
    write = Executor._write_finalizers

    def alone(self: Executor, state: Any, wanted: Any, found: Any) -> Any:
        return write(self, state, [FINALIZER] if FINALIZER in wanted else wanted, found)

    with patch.object(Executor, "_write_finalizers", alone):
        yield


@planted("E1", "held")
def stripped_finalizer_not_noticed() -> Iterator[None]:
    """That somebody took our finalizer off is not seen."""
    look = observe.observe

    def trusting(state: Any, sighting: Any) -> Any:
        return tuple(one for one in look(state, sighting) if not isinstance(one, FinalizerStripped))

    with patch.object(loop, "observe", trusting):
        yield


@planted("F34 S5 S23", "upgrade")
def workload_taken_away_and_forgotten() -> Iterator[None]:
    """A StatefulSet is removed to be made anew, and is reported as made; nobody looks whether it is ready."""
    apply = Executor._apply

    def removing(self: Executor, state: Any, request: Any, ref: Any, platform: Any, may_act: Any) -> Any:
        child = state.objects[ref.key]
        if ref.kind == "StatefulSet" and child.applied_digest:
            self._cluster.delete(resource_for(ref.api_version, ref.kind), state.namespace, ref.name, uid=child.uid)
            yield ActionSucceeded(request=request.version, ref=ref, uid=child.uid)
        else:
            yield from apply(self, state, request, ref, platform, may_act)

    with (
        patch.object(Executor, "_apply", removing),
        patch.object(observe, "_observe_absence", lambda _state, _child: iter(())),
        patch.object(progress, "ready_at", lambda _state, component: component.phase_since),
        patch.object(progress, "_runs_wanted_version", lambda _component: True),
        patch.object(progress, "_is_anything_unready", lambda _state: False),
    ):
        yield


@planted("E2 E8", "delete")
def deletions_not_told() -> Iterator[None]:
    """That a ServiceAccount is gone is recorded in the place of what came of its deletion."""
    delete = Executor._delete

    def hasty(self: Executor, state: Any, request: Any, ref: Any) -> Any:
        outcome = delete(self, state, request, ref)
        return ChildGone(ref=ref) if ref.kind == "ServiceAccount" else outcome

    with patch.object(Executor, "_delete", hasty):
        yield
