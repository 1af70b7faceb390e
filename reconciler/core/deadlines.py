"""Every instant at which something follows without any change in the cluster. Used by the decisions and by the
scheduler, so that neither acts on an instant the other does not know."""

from datetime import datetime

import msgspec

from eventstore.vocabulary import ComponentPhase, Phase
from projections.state import ComponentState, ObjectState, PlatformState
from reconciler.core.retry import due_at, retry_delay_seconds


class ComponentFailure(msgspec.Struct, frozen=True):
    """From `at` on the component counts as failed, if nothing changes until then."""

    at: datetime
    reason: str
    message: str


#: So often in a row drift is corrected as soon as it is seen.
FREE_CORRECTIONS = 3
#: Phases of a component on its way to Ready.
STARTING = frozenset({ComponentPhase.INSTALLING, ComponentPhase.UPGRADING})


def ready_at(state: PlatformState, component: ComponentState) -> datetime | None:
    """When a starting component has been ready for long enough; None while it is not ready."""
    if component.phase not in STARTING or component.ready_since is None:
        return None
    # Readiness seen before it started (a retry of something that runs) still has to last from the start.
    since = max(component.ready_since, component.phase_since)
    return due_at(since, state.policy.stability_seconds)


def failure_of(state: PlatformState, component: ComponentState) -> ComponentFailure | None:
    """What makes the component count as failed, and from when; None while nothing does."""
    if component.phase in {ComponentPhase.PENDING, ComponentPhase.FAILED}:
        return None
    policy = state.policy
    # Every phase of the platform is a new attempt, and gives its components their full time again.
    began = max(component.phase_since, state.phase_since or component.phase_since)
    # Pods that do not start while the old ones serve are a failure; what is ready with the newest template is none.
    in_rollout = component.rollout_since is not None and not component.rolled_out
    unready = component.unready_since
    if component.problems and component.problem_since is not None and (unready is not None or in_rollout):
        problem = component.problems[0]
        since = max(component.problem_since, began)
        message = f"{problem.subject} {problem.reason}: {problem.message}".strip(": ")
        return ComponentFailure(due_at(since, policy.problem_grace_seconds), problem.reason, message)
    # One that was rolled out and became unready before it counted as ready is still on its way.
    on_its_way = component.rollout_since or (unready if component.phase in STARTING else None)
    if on_its_way is not None:
        if state.failure is not None or state.missing:
            return None  # it is we who are held up, not the component
        since = max(on_its_way, began)
        ready = f"{component.ready_replicas}/{component.desired_replicas} replicas ready"
        message = f"not rolled out within {policy.progress_deadline_seconds:g} s: {ready}"
        return ComponentFailure(due_at(since, policy.progress_deadline_seconds), "ProgressDeadlineExceeded", message)
    if unready is None or component.phase is not ComponentPhase.READY:
        return None
    since = max(unready, began)
    message = f"{component.ready_replicas} of {component.desired_replicas} replicas are ready"
    return ComponentFailure(due_at(since, policy.health_grace_seconds), "HealthCheckFailed", message)


def correction_at(state: PlatformState, child: ObjectState) -> datetime | None:
    """When a drifted object is written to again; None: at once.

    Somebody who changes it again and again gets his way for longer and longer: a fight must not fill the log.
    """
    if child.drift is None or child.drifted_at is None or child.drifts <= FREE_CORRECTIONS:
        return None
    return due_at(child.drifted_at, retry_delay_seconds(state.policy, child.drifts - FREE_CORRECTIONS, state.stream_id))


def teardown_deadline(state: PlatformState) -> datetime | None:
    """When the finalizer is released whatever is left; None if nobody asked for deletion."""
    if state.deletion_requested_at is None:
        return None
    steps = max(1, len(state.components))
    return due_at(state.deletion_requested_at, state.policy.teardown_deadline_seconds * steps)


def next_due(state: PlatformState, now: datetime) -> datetime | None:
    """The earliest instant after `now` at which something follows; None if only a change can bring something."""
    if state.closed:
        return None
    instants = [state.retry.due_at, teardown_deadline(state)]
    if state.phase is not Phase.FAILED and not state.paused:
        for component in state.components.values():
            failure = failure_of(state, component)
            instants += [ready_at(state, component), failure.at if failure else None]
        instants += [correction_at(state, child) for child in state.objects.values()]
    return min((instant for instant in instants if instant is not None and instant > now), default=None)
