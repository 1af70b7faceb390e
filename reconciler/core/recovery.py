"""Failures: which phase they lead to, when they are tried again, and what is gone back to."""

from datetime import datetime

from api.versions import one_way_door
from eventstore.events import (
    ComponentPhaseChanged,
    Decision,
    ProbeScheduled,
    RetriesExhausted,
    RetryReset,
    RetryScheduled,
    RollbackStarted,
    SpecQuarantined,
)
from eventstore.vocabulary import KIND, ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections.state import Failure, PlatformState
from reconciler.core.desired import desired_objects, is_renderable
from reconciler.core.preflight import preflight
from reconciler.core.progress import in_install_order, is_healthy
from reconciler.core.retry import due_at, retry_delay_seconds
from reconciler.core.transitions import FAILURE_TRIGGERS, transition

Decisions = tuple[Decision, ...]
#: Why a platform is Failed that is about to go back.
ROLLED_BACK = "RolledBack"


def decide_failure(state: PlatformState, now: datetime) -> Decisions:
    """What an error means in a phase other than Failed, by its category."""
    if state.phase is Phase.FAILED or state.phase is None or state.paused:
        return ()
    fatal = configuration_error(state)
    if fatal is not None:
        # A spec or a dependency to be mended would be just as wrong after a rollback.
        return _fail(state, fatal.reason, fatal.message, goes_back=fatal is state.failure)
    if state.failure is None:
        return _decide_recovered(state)
    if state.failure.category is ErrorCategory.COMPONENT:
        return _fail(state, state.failure.reason, f"{state.failure.subject}: {state.failure.message}")
    return decide_retry(state, now)


def configuration_error(state: PlatformState) -> Failure | None:
    """The error that only an edit can mend: a rejected spec, an unusable dependency, an object the server refuses."""
    findings = state.findings or (preflight(state).refused if state.accepted else ())
    if findings:
        message = "; ".join(finding.message for finding in findings)
        return Failure(category=ErrorCategory.CONFIGURATION, reason=findings[0].reason, message=message)
    if state.accepted is not None and not is_renderable(state):
        message = "this build of the operator cannot run the accepted spec; nothing is touched: change the spec"
        return Failure(category=ErrorCategory.CONFIGURATION, reason="SpecNotSupported", message=message)
    failure = state.failure
    return failure if failure is not None and failure.category is ErrorCategory.CONFIGURATION else None


def decide_retry(state: PlatformState, now: datetime) -> Decisions:
    """Schedule the next attempt of a failed action, in the phase it happened in."""
    failure = state.failure
    if failure is None:
        return ()
    if state.retry_wanted:
        return (RetryReset(reason=state.retry_wanted),)
    if state.retry.due_at is not None:
        moot = now >= state.retry.due_at and _is_moot(state, failure)
        return (RetryReset(reason="Superseded"),) if moot else ()
    if failure.category is not ErrorCategory.TRANSIENT:
        return (_probe(state, failure, now),)
    if state.retry.attempt < state.policy.retries_max:
        return (_schedule(state, failure, now),)
    if state.deletion_requested_at is not None:
        return (_probe(state, failure, now),)
    exhausted = () if state.retry.exhausted else (_exhausted(state, failure),)
    message = f"{failure.subject}: {failure.message} ({state.retry.attempt}/{state.policy.retries_max} retries)"
    return (*exhausted, *_fail(state, "RetriesExhausted", message))


def _is_moot(state: PlatformState, failure: Failure) -> bool:
    """Nothing is left to try again: the object is as it should be, or nobody wants it any more."""
    if failure.subject.startswith(KIND) or state.deletion_requested_at is not None:
        return False
    wanted = {str(wanted.ref): wanted for wanted in desired_objects(state)}.get(failure.subject)
    children = [child for child in state.objects.values() if str(child.ref) == failure.subject]
    if wanted is None:
        return not children
    return any(child.applied_digest == wanted.digest and not child.drift for child in children)


def decide_failed(state: PlatformState, now: datetime) -> Decisions:
    """Failed to Installing: at once when the cause may be gone, else when the next attempt is due."""
    if state.paused or state.accepted is None:
        return ()
    if state.rolling_back and state.phase_reason == ROLLED_BACK:
        # At once, and once: a rollback that fails is tried again like anything else.
        return _leave_failed(state, "RollingBack", state.rollback_message)
    fatal = configuration_error(state)
    changed = state.retry_wanted
    if changed and not state.findings and not (fatal is not None and fatal is not state.failure):
        reset = RetryReset(reason=changed)
        return (reset, *_leave_failed(state, _REASONS.get(changed, changed), f"tried again because of {changed}"))
    if fatal is not None:
        return ()
    if _has_healed(state):
        return _leave_failed(state, "Recovered", "every component became healthy again")
    if state.retry.due_at is not None:
        return _leave_failed(state, *_attempt(state)) if now >= state.retry.due_at else ()
    failure = state.failure or Failure(category=ErrorCategory.COMPONENT, reason=state.phase_reason, message="")
    if state.retry.attempt < state.policy.retries_max:
        return (_schedule(state, failure, now),)
    exhausted = () if state.retry.exhausted else (_exhausted(state, failure),)
    return (*exhausted, _probe(state, failure, now))


_REASONS = {
    "NewGeneration": "SpecFixed",
    "Requested": "RetryRequested",
    "DependencyChanged": "DependencyChanged",
}


def _attempt(state: PlatformState) -> tuple[str, str]:
    if state.retry.probe:
        return "SlowProbe", f"looking whether it works by now: {state.retry.message}"
    return "RetryDue", f"retry {state.retry.attempt} of {state.policy.retries_max}: {state.retry.message}"


def _has_healed(state: PlatformState) -> bool:
    """Failed components that recovered by themselves; a failed action heals only by being tried again."""
    failure = state.failure
    by_component = failure is not None and failure.category is ErrorCategory.COMPONENT
    return by_component and all(is_healthy(state, ComponentName(name)) for name in state.components)


def _leave_failed(state: PlatformState, reason: str, message: str) -> Decisions:
    """Failed components start again with the platform, each with a fresh deadline."""
    restarted = tuple(
        ComponentPhaseChanged(
            component=ComponentName(name),
            from_phase=component.phase,
            to_phase=ComponentPhase.INSTALLING,
            reason=reason,
            version=state.accepted.versions.get(name, "") if state.accepted else "",
        )
        for name, component in in_install_order(state.components)
        if component.phase in {ComponentPhase.FAILED, ComponentPhase.UPGRADING}
        or (component.phase is ComponentPhase.READY and _runs_another_version(state, name))
    )
    return (transition(state, Trigger.RETRY_FIX, reason, message), *restarted)


def _runs_another_version(state: PlatformState, name: str) -> bool:
    """True where a spec fixed while Failed, or a rollback, asks for another version: Failed leads to Installing."""
    wanted = state.accepted.versions.get(name) if state.accepted else None
    return wanted is not None and state.components[name].desired_version != wanted


def _fail(state: PlatformState, reason: str, message: str, *, goes_back: bool = True) -> Decisions:
    assert state.phase is not None
    if state.phase is Phase.UPGRADING and goes_back:
        return _fail_upgrade(state, reason, message)
    return (transition(state, FAILURE_TRIGGERS[state.phase], reason, message),)


def _fail_upgrade(state: PlatformState, reason: str, message: str) -> Decisions:
    """Back to what last worked, unless a component cannot go back without losing data."""
    assert state.accepted is not None
    good = state.known_good
    blocked = rollback_obstacle(state)
    if good is None or good.spec.digest == state.accepted.digest or blocked:
        why = blocked or "there is no other spec that worked"
        return (transition(state, Trigger.UPGRADE_ERROR, reason, f"{message}; not rolled back: {why}"),)
    return (
        SpecQuarantined(digest=state.accepted.digest, generation=state.accepted.generation),
        transition(state, Trigger.UPGRADE_ERROR, ROLLED_BACK, message),
        RollbackStarted(
            from_versions=state.accepted.versions, to_versions=good.spec.versions, reason=reason, message=message
        ),
    )


def rollback_obstacle(state: PlatformState) -> str:
    """Why a component that already has its new version cannot go back; "" if all can."""
    if state.known_good is None or state.accepted is None:
        return ""
    for name, old in in_install_order(state.known_good.spec.versions):
        component = state.components.get(name)
        new = state.accepted.versions.get(name, old)
        # Only a version that really started may have rewritten the data; it need not run any more.
        if component is not None and new != old and component.ran_version == new:
            why = one_way_door(ComponentName(name), old, new)
            if why:
                return f"{name} {new} cannot go back to {old}: {why}"
    return ""


def _decide_recovered(state: PlatformState) -> Decisions:
    """A failed action worked, or something changed that it waited for: count from zero again."""
    return (RetryReset(reason=state.retry_wanted),) if state.retry_wanted else ()


def _schedule(state: PlatformState, failure: Failure, now: datetime) -> Decision:
    attempt = state.retry.attempt + 1
    delay = max(retry_delay_seconds(state.policy, attempt, state.stream_id), failure.retry_after_seconds)
    return RetryScheduled(
        attempt=attempt,
        due_at=due_at(now, delay),
        category=failure.category,
        reason=failure.reason,
        message=failure.message,
    )


def _probe(state: PlatformState, failure: Failure, now: datetime) -> Decision:
    seconds = state.policy.slow_probe_seconds
    if failure.reason == "PermissionDenied" and not state.retry.probe:
        # An API server that has just started refuses what it allows once it has read its roles.
        seconds = min(seconds, state.policy.prerequisite_poll_seconds)
    return ProbeScheduled(
        due_at=due_at(now, seconds),
        category=failure.category,
        reason=failure.reason,
        message=failure.message,
    )


def _exhausted(state: PlatformState, failure: Failure) -> Decision:
    return RetriesExhausted(
        attempts=state.retry.attempt, category=failure.category, reason=failure.reason, message=failure.message
    )
