"""`evolve` and `fold`: from events to `PlatformState`. Pure; the only place where a state changes.

Each event type has one function `evolve_<event>` that returns the fields it changes.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from eventstore import events as e
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.vocabulary import KIND, ComponentPhase, ErrorCategory, Phase
from projections.state import (
    ComponentState,
    Drift,
    Failure,
    KnownGood,
    ObjectState,
    PlatformState,
    Retry,
    SpecState,
    Transition,
)

Changes = dict[str, Any]
#: How many transitions `.status.history` shows.
HISTORY_LENGTH = 5
WORKLOAD_KINDS = frozenset({"StatefulSet", "Deployment"})
#: An object that was left alone for so long is no longer fought for. Longer than the longest wait of a retry.
FIGHT_PAUSE = timedelta(hours=1)
_NOTHING: Changes = {}


def initial(stream_id: str) -> PlatformState:
    """The state before the first event."""
    return PlatformState(stream_id=stream_id)


def evolve(state: PlatformState, event: e.Event, at: datetime) -> PlatformState:
    """The state after `event`, which is the stream's next version and occurred at `at`."""
    evolver = _EVOLVERS.get(type(event))
    changes = evolver(state, event, at) if evolver else _NOTHING
    return replace(state, version=state.version + 1, updated_at=at, **changes)


def fold(state: PlatformState, recorded: Iterable[RecordedEvent]) -> PlatformState:
    """The state after all the recorded events.

    Raises:
        UnknownEventError: an event of a type or version this build does not know.
        CorruptEventError: an event that does not decode.
    """
    for event in recorded:
        state = evolve(state, decode(event), event.occurred_at)
    return state


# -- observations --------------------------------------------------------------------------------------------------


def evolve_platform_observed(state: PlatformState, seen: e.PlatformObserved, at: datetime) -> Changes:
    spec = SpecState(generation=seen.generation, digest=seen.digest, spec=seen.spec, inline_secrets=seen.inline_secrets)
    return {
        "namespace": seen.namespace,
        "name": seen.name,
        "created_at": seen.created_at or state.created_at or at,
        "observed": spec,
        "unknown_fields": seen.unknown_fields,
        "closed": False,
        # A platform that came back is observed only if it is not on its way out.
        "deletion_requested_at": None if state.closed else state.deletion_requested_at,
    }


def evolve_policy_adopted(_: PlatformState, event: e.PolicyAdopted, __: datetime) -> Changes:
    return {"policy": event.policy, "operator_version": event.operator_version}


def evolve_deletion_requested(state: PlatformState, event: e.DeletionRequested, at: datetime) -> Changes:
    # The deadline of the teardown counts from when we saw it: an operator that was away gets its full time.
    gone: Changes = {"failure": None, "retry": Retry()}
    return {"deletion_requested_at": at, "finalizer": state.finalizer or event.finalizer, **gone}


def evolve_retry_requested(_: PlatformState, event: e.RetryRequested, __: datetime) -> Changes:
    return {"retry_token": event.token, "retry_wanted": "Requested"}


def evolve_finalizer_stripped(_: PlatformState, __: e.FinalizerStripped, ___: datetime) -> Changes:
    return {"finalizer": False}


def evolve_cluster_rewound(state: PlatformState, event: e.ClusterRewound, _: datetime) -> Changes:
    # Neither the judgement of later generations nor a later deletion is about what is there now, nor what failed of it;
    # what was applied is older there too, and nobody knows by how much.
    unknown: Changes = {"deleting": False, "applied_digest": "", "owned_digest": "", "drift": None}
    ours = state.failure is not None and state.failure.subject.startswith(KIND)
    return {
        "judged_generation": min(state.judged_generation, event.generation - 1),
        "deletion_requested_at": None,
        "objects": {key: replace(child, **unknown) for key, child in state.objects.items()},
        **({"failure": None, "retry": Retry()} if ours else {}),
    }


def evolve_platform_gone(_: PlatformState, __: e.PlatformGone, ___: datetime) -> Changes:
    return {"closed": True}


def evolve_dependency_observed(state: PlatformState, event: e.DependencyObserved, _: datetime) -> Changes:
    key = f"{event.kind}/{event.name}"
    changes: Changes = {"dependencies": {**state.dependencies, key: event}}
    # Only what is waited for can end the waiting: a first sight is not a change.
    if key in state.dependencies and (state.failure or state.phase is Phase.FAILED):
        changes["retry_wanted"] = "DependencyChanged"
    return changes


def evolve_component_observed(state: PlatformState, event: e.ComponentObserved, at: datetime) -> Changes:
    was = state.components.get(event.component)
    if was is None:
        return _NOTHING
    healthy = event.desired_replicas > 0 and event.ready_replicas >= event.desired_replicas
    complete = healthy and event.rolled_out
    now = replace(
        was,
        observed=True,
        desired_replicas=event.desired_replicas,
        ready_replicas=event.ready_replicas,
        updated_replicas=event.updated_replicas,
        rolled_out=event.rolled_out,
        running_version=event.running_version,
        ran_version=event.running_version or was.ran_version,
        problems=event.problems,
        ready_since=(was.ready_since or at) if complete else None,
        unready_since=None if healthy else (was.unready_since or at),
        problem_since=(was.problem_since or at) if event.problems else None,
        rollout_since=None if complete else was.rollout_since,
    )
    return {"components": {**state.components, event.component: now}}


def evolve_drift_detected(state: PlatformState, event: e.DriftDetected, at: datetime) -> Changes:
    was = state.objects.get(event.ref.key)
    if was is None:
        return _NOTHING
    drift = Drift(kind=event.kind, managers=event.managers, paths=event.paths)
    count = was.drifts if was.drifted_at and at - was.drifted_at < FIGHT_PAUSE else 0
    drifted = replace(was, drift=drift, drifts=count + 1, drifted_at=at)
    return {"objects": {**state.objects, event.ref.key: drifted}}


def evolve_child_found(state: PlatformState, event: e.ChildFound, _: datetime) -> Changes:
    was = state.objects.get(event.ref.key) or ObjectState(ref=event.ref, component=event.component)
    # Another object under the name of one that was deleted is still to be deleted.
    found = replace(was, uid=event.uid, deleting=was.deleting and was.uid == event.uid)
    return {"objects": {**state.objects, event.ref.key: found}}


def evolve_child_gone(state: PlatformState, event: e.ChildGone, _: datetime) -> Changes:
    return {"objects": {key: child for key, child in state.objects.items() if key != event.ref.key}}


# -- decisions about the spec --------------------------------------------------------------------------------------


def evolve_spec_accepted(state: PlatformState, event: e.SpecAccepted, _: datetime) -> Changes:
    if state.observed is None:
        return _NOTHING
    changed = state.accepted is not None and state.accepted.digest != event.digest
    restarts = (changed and state.failure is not None) or state.phase is Phase.FAILED
    return {
        "accepted": replace(state.observed, versions=event.versions),
        "judged_generation": event.generation,
        "findings": (),
        "quarantined": "",
        "rolling_back": False,
        "rolled_back": False,
        "rollback_message": "",
        "upgrading_to": event.versions if state.phase is Phase.UPGRADING else state.upgrading_to,
        "retry_wanted": "NewGeneration" if restarts else state.retry_wanted,
    }


def evolve_spec_rejected(_: PlatformState, event: e.SpecRejected, __: datetime) -> Changes:
    return {"findings": event.findings, "judged_generation": event.generation}


def evolve_paused(_: PlatformState, __: e.Paused, ___: datetime) -> Changes:
    return {"paused": True}


def evolve_resumed(state: PlatformState, _: e.Resumed, at: datetime) -> Changes:
    return {"paused": False, "components": _with_full_time(state, at)}


def evolve_prerequisite_missing(_: PlatformState, event: e.PrerequisiteMissing, __: datetime) -> Changes:
    return {"missing": event.findings}


def evolve_prerequisites_met(state: PlatformState, _: e.PrerequisitesMet, at: datetime) -> Changes:
    return {"missing": (), "components": _with_full_time(state, at)}


def _with_full_time(state: PlatformState, at: datetime) -> dict[str, ComponentState]:
    """What held us up is over: rollouts get their full time from here on."""
    components = state.components.items()
    return {name: replace(one, rollout_since=at) if one.rollout_since else one for name, one in components}


# -- decisions about phases ----------------------------------------------------------------------------------------


def evolve_phase_changed(state: PlatformState, event: e.PhaseChanged, at: datetime) -> Changes:
    transition = Transition(
        sequence=state.version + 1,
        from_phase=event.from_phase,
        to_phase=event.to_phase,
        reason=event.reason,
        message=event.message,
        at=at,
    )
    changes: Changes = {
        "phase": event.to_phase,
        "phase_since": at,
        "phase_reason": event.reason,
        "phase_message": event.message,
        "history": (transition, *state.history)[:HISTORY_LENGTH],
    }
    if event.to_phase in {Phase.READY, Phase.FAILED}:
        changes["upgrading_to"] = {}
    if event.from_phase is Phase.FAILED:
        # The attempt begins: what failed is tried again, the counter stays until it worked.
        changes["failure"] = None
        changes["retry"] = replace(state.retry, due_at=None, probe=False)
    return changes


def evolve_component_phase_changed(state: PlatformState, event: e.ComponentPhaseChanged, at: datetime) -> Changes:
    was = state.components.get(event.component) or ComponentState(phase=ComponentPhase.PENDING, phase_since=at)
    starting = event.to_phase in {ComponentPhase.INSTALLING, ComponentPhase.UPGRADING}
    settled = event.to_phase in {ComponentPhase.READY, ComponentPhase.FAILED}
    now = replace(
        was,
        phase=event.to_phase,
        phase_since=at,
        reason=event.reason,
        message=event.message,
        desired_version=event.version or was.desired_version,
        # Another target on the way does not change where the upgrade began.
        upgrading_from=was.upgrading_from or was.running_version
        if event.to_phase is ComponentPhase.UPGRADING
        else ("" if settled else was.upgrading_from),
        rollout_since=at if starting else (None if event.to_phase is ComponentPhase.READY else was.rollout_since),
    )
    changes: Changes = {"components": {**state.components, event.component: now}}
    if event.to_phase is ComponentPhase.FAILED:
        changes["failure"] = Failure(
            category=ErrorCategory.COMPONENT,
            reason=event.reason,
            message=event.message,
            subject=event.component,
            component=event.component,
        )
        # What was scheduled was another failure's attempt.
        changes["retry"] = replace(state.retry, due_at=None, probe=False)
    return changes


def evolve_component_removed(state: PlatformState, event: e.ComponentRemoved, _: datetime) -> Changes:
    return {"components": {name: c for name, c in state.components.items() if name != event.component}}


def evolve_conditions_changed(state: PlatformState, event: e.ConditionsChanged, at: datetime) -> Changes:
    merged = {**state.conditions, **{kind: (status, at) for kind, status in event.statuses.items()}}
    return {"conditions": {kind: value for kind, value in merged.items() if value[0]}}


# -- requests ------------------------------------------------------------------------------------------------------


def evolve_apply_requested(state: PlatformState, event: e.ApplyRequested, _: datetime) -> Changes:
    was = state.objects.get(event.ref.key) or ObjectState(ref=event.ref)
    child = replace(
        was, component=event.component, request=state.version + 1, requested_digest=event.digest, deleting=False
    )
    return {"objects": {**state.objects, event.ref.key: child}}


def evolve_delete_requested(state: PlatformState, event: e.DeleteRequested, _: datetime) -> Changes:
    was = state.objects.get(event.ref.key) or ObjectState(ref=event.ref, component=event.component, uid=event.uid)
    child = replace(was, request=state.version + 1, requested_digest="")
    return {"objects": {**state.objects, event.ref.key: child}}


def evolve_request_superseded(state: PlatformState, event: e.RequestSuperseded, _: datetime) -> Changes:
    was = state.objects.get(event.ref.key)
    if was is None:
        return _NOTHING
    return {"objects": {**state.objects, event.ref.key: replace(was, request=0, requested_digest="")}}


def evolve_finalizer_requested(state: PlatformState, _: e.Event, __: datetime) -> Changes:
    return {"finalizer_request": state.version + 1}


# -- retries -------------------------------------------------------------------------------------------------------


def evolve_retry_scheduled(_: PlatformState, event: e.RetryScheduled, __: datetime) -> Changes:
    return {
        "retry": Retry(
            attempt=event.attempt,
            due_at=event.due_at,
            category=event.category,
            reason=event.reason,
            message=event.message,
        )
    }


def evolve_retries_exhausted(state: PlatformState, _: e.RetriesExhausted, __: datetime) -> Changes:
    return {"retry": replace(state.retry, due_at=None, exhausted=True)}


def evolve_probe_scheduled(state: PlatformState, event: e.ProbeScheduled, _: datetime) -> Changes:
    return {
        "retry": replace(
            state.retry,
            due_at=event.due_at,
            probe=True,
            category=event.category,
            reason=event.reason,
            message=event.message,
        )
    }


def evolve_retry_reset(state: PlatformState, event: e.RetryReset, at: datetime) -> Changes:
    # What recovered was taken off when it did: a failure that is there now is another one, and waits for its own retry.
    failure = state.failure if event.reason == "Recovered" else None
    return {"retry": Retry(), "retry_wanted": "", "failure": failure, "components": _with_full_time(state, at)}


# -- upgrade and rollback ------------------------------------------------------------------------------------------


def evolve_upgrade_started(_: PlatformState, event: e.UpgradeStarted, __: datetime) -> Changes:
    return {"upgrading_to": event.to_versions}


def evolve_rollback_started(state: PlatformState, event: e.RollbackStarted, _: datetime) -> Changes:
    if state.known_good is None:
        return _NOTHING
    return {
        "accepted": state.known_good.spec,
        "rolling_back": True,
        "rolled_back": True,
        "rollback_message": event.message,
    }


def evolve_rollback_completed(_: PlatformState, __: e.RollbackCompleted, ___: datetime) -> Changes:
    return {"rolling_back": False}


def evolve_spec_quarantined(state: PlatformState, event: e.SpecQuarantined, _: datetime) -> Changes:
    # Asked for again after a spec that was rejected: that one's findings are no longer about anything.
    returned = bool(state.findings) and state.phase is Phase.FAILED
    return {
        "quarantined": event.digest,
        "judged_generation": max(state.judged_generation, event.generation),
        "findings": (),
        "retry_wanted": "NewGeneration" if returned else state.retry_wanted,
    }


def evolve_last_known_good_recorded(state: PlatformState, event: e.LastKnownGoodRecorded, _: datetime) -> Changes:
    if state.accepted is None:
        return _NOTHING
    return {"known_good": KnownGood(sequence=state.version + 1, spec=state.accepted, manifests=event.manifests)}


# -- outcomes ------------------------------------------------------------------------------------------------------


def evolve_action_succeeded(state: PlatformState, event: e.ActionSucceeded, at: datetime) -> Changes:
    was = state.objects.get(event.ref.key)
    if was is None or was.request != event.request:
        return _NOTHING
    recovered = state.failure is not None and state.failure.subject == str(event.ref)
    changes: Changes = {"failure": None, "retry_wanted": "Recovered"} if recovered else {}
    if not was.requested_digest:
        return changes | {"objects": {**state.objects, event.ref.key: replace(was, request=0, deleting=True)}}
    child = replace(
        was,
        request=0,
        requested_digest="",
        applied_digest=was.requested_digest,
        owned_digest=event.owned_digest,
        uid=event.uid,
        drift=None,
    )
    changes["objects"] = {**state.objects, event.ref.key: child}
    # Unchanged, but not what was recorded before: it was applied by somebody who ended before saying so.
    changed = event.changed or was.drift is not None or was.applied_digest != was.requested_digest
    if changed and event.ref.kind in WORKLOAD_KINDS and was.component in state.components:
        component = state.components[was.component]
        # What was seen before belongs to the template before; the next observation tells about this one.
        rolling = replace(component, rolled_out=False, ready_since=None, rollout_since=at)
        changes["components"] = {**state.components, was.component: rolling}
    return changes


def evolve_action_failed(state: PlatformState, event: e.ActionFailed, _: datetime) -> Changes:
    was = state.objects.get(event.ref.key)
    changes: Changes = {
        "failure": Failure(
            category=event.category,
            reason=event.reason,
            message=event.message,
            subject=str(event.ref),
            component=was.component if was else None,
            retry_after_seconds=event.retry_after_seconds,
        ),
        # The scheduled attempt was this one.
        "retry": replace(state.retry, due_at=None),
    }
    if event.ref.kind == KIND:
        changes["finalizer_request"] = 0
    elif was is not None and was.request == event.request:
        changes["objects"] = {**state.objects, event.ref.key: replace(was, request=0, requested_digest="")}
    return changes


def evolve_finalizer_added(state: PlatformState, _: e.FinalizerAdded, __: datetime) -> Changes:
    changes: Changes = {"finalizer": True, "finalizer_request": 0}
    if state.failure is not None and state.failure.subject.startswith(KIND):
        changes |= {"failure": None, "retry_wanted": "Recovered"}
    return changes


def evolve_finalizer_released(_: PlatformState, __: e.FinalizerReleased, ___: datetime) -> Changes:
    return {"finalizer": False, "finalizer_request": 0, "closed": True}


_EVOLVERS: dict[type[e.Event], Callable[[PlatformState, Any, datetime], Changes]] = {
    e.PlatformObserved: evolve_platform_observed,
    e.PolicyAdopted: evolve_policy_adopted,
    e.DeletionRequested: evolve_deletion_requested,
    e.RetryRequested: evolve_retry_requested,
    e.FinalizerStripped: evolve_finalizer_stripped,
    e.ClusterRewound: evolve_cluster_rewound,
    e.PlatformGone: evolve_platform_gone,
    e.DependencyObserved: evolve_dependency_observed,
    e.ComponentObserved: evolve_component_observed,
    e.DriftDetected: evolve_drift_detected,
    e.ChildFound: evolve_child_found,
    e.ChildGone: evolve_child_gone,
    e.SpecAccepted: evolve_spec_accepted,
    e.SpecRejected: evolve_spec_rejected,
    e.Paused: evolve_paused,
    e.Resumed: evolve_resumed,
    e.PrerequisiteMissing: evolve_prerequisite_missing,
    e.PrerequisitesMet: evolve_prerequisites_met,
    e.PhaseChanged: evolve_phase_changed,
    e.ComponentPhaseChanged: evolve_component_phase_changed,
    e.ComponentRemoved: evolve_component_removed,
    e.ConditionsChanged: evolve_conditions_changed,
    e.ApplyRequested: evolve_apply_requested,
    e.DeleteRequested: evolve_delete_requested,
    e.RequestSuperseded: evolve_request_superseded,
    e.FinalizerAddRequested: evolve_finalizer_requested,
    e.FinalizerReleaseRequested: evolve_finalizer_requested,
    e.RetryScheduled: evolve_retry_scheduled,
    e.RetriesExhausted: evolve_retries_exhausted,
    e.ProbeScheduled: evolve_probe_scheduled,
    e.RetryReset: evolve_retry_reset,
    e.UpgradeStarted: evolve_upgrade_started,
    e.RollbackStarted: evolve_rollback_started,
    e.RollbackCompleted: evolve_rollback_completed,
    e.SpecQuarantined: evolve_spec_quarantined,
    e.LastKnownGoodRecorded: evolve_last_known_good_recorded,
    e.ActionSucceeded: evolve_action_succeeded,
    e.ActionFailed: evolve_action_failed,
    e.FinalizerAdded: evolve_finalizer_added,
    e.FinalizerReleased: evolve_finalizer_released,
}
#: Facts kept for people: they explain, but nothing is decided on them.
RECORD_ONLY: frozenset[type[e.Event]] = frozenset(
    {e.LedgerReset, e.BackupStarted, e.BackupCompleted, e.BackupFailed, e.ComponentUpgraded, e.DriftCorrected}
)
