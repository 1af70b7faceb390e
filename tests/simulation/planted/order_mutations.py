"""Mistakes in what comes after what, and in what no comparison with the undisturbed run can show.

A mutation is a context manager; while it is open the code is wrong, and its docstring says how.
"""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from eventstore.events import BackupCompleted, BackupFailed, BackupStarted, SpecAccepted, SpecQuarantined
from eventstore.vocabulary import INSTALL_ORDER
from projections import platform as folding
from reconciler.core import decide, plan, progress, recovery
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
