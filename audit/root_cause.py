"""What is wrong with a platform at a point of its history: the deepest failing fact. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.vocabulary import ComponentPhase, ErrorCategory, Phase
from projections.state import PlatformState


class RootCause(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fact that everything else follows from."""

    sequence: int
    time: datetime
    #: `Pod/prod-grafana-0`, `Secret/loki-s3`, `spec.components.loki.version`; "" if it is the platform itself.
    subject: str
    reason: str
    #: Whole, never shortened.
    message: str


class Step(msgspec.Struct, frozen=True):
    """An event, as it was recorded and as it reads."""

    recorded: RecordedEvent
    event: e.Event

    @property
    def version(self) -> int:
        """Its stream version."""
        return self.recorded.version


def find_root_cause(state: PlatformState, steps: Sequence[Step], component: str) -> RootCause | None:
    """What is wrong at the end of the steps; None if nothing is."""
    if state.missing:
        return _from_findings(steps, e.PrerequisiteMissing, state.missing)
    if state.findings:
        return _from_findings(steps, e.SpecRejected, state.findings)
    failure = state.failure
    if failure is not None and failure.category is not ErrorCategory.COMPONENT and not component:
        return _from_failed_action(steps)
    failing = component or (state.failure.component if state.failure else None) or _failed_component(state)
    found = _from_problems(steps, failing) if failing else None
    if found is None and (state.failure is not None or state.phase is Phase.FAILED):
        found = _from_failed_action(steps) or _from_failed_component(steps, failing)
    return found or _from_unfinished(state, steps, component)


def _from_unfinished(state: PlatformState, steps: Sequence[Step], component: str) -> RootCause | None:
    """Nothing fails at this instant, and yet it is not well: a retry is under way, a change by somebody else was not
    undone yet, or an upgrade was rolled back.
    """
    if state.rolled_back and not component and not state.closed:
        step = next((step for step in reversed(steps) if isinstance(step.event, e.RollbackStarted)), None)
        if step is not None:
            return _cause(step, "", "RolledBack", state.rollback_message)
    recent = _since_ready(steps)
    for step in reversed(recent):
        event = step.event
        if isinstance(event, e.DriftDetected) and _drifts(state, event, component):
            by = f"changed by {', '.join(event.managers)}" if event.managers else event.kind.lower()
            waits = "; it is not mended while paused" if state.paused else ""
            return _cause(step, str(event.ref), "DriftDetected", f"{by}{waits}")
    ill = {name for name, c in state.components.items() if c.phase is not ComponentPhase.READY}
    retried = ill & ({component} if component else ill)
    return next((found for name in retried if (found := _from_failed_component(recent, name))), None)


def _drifts(state: PlatformState, event: e.DriftDetected, component: str) -> bool:
    children = (child for child in state.objects.values() if child.ref == event.ref)
    return any(child.drift is not None and component in {"", child.component} for child in children)


def _since_ready(steps: Sequence[Step]) -> Sequence[Step]:
    """What came after the platform became Ready last; all of it if it never was."""
    for index in range(len(steps) - 1, -1, -1):
        event = steps[index].event
        if isinstance(event, e.PhaseChanged) and event.to_phase is Phase.READY:
            return steps[index:]
    return steps


def _failed_component(state: PlatformState) -> str | None:
    return next((name for name, c in state.components.items() if c.phase is ComponentPhase.FAILED or c.problems), None)


def _from_findings(
    steps: Sequence[Step], kind: type[e.PrerequisiteMissing | e.SpecRejected], findings: Sequence[e.Finding]
) -> RootCause | None:
    step = next((step for step in reversed(steps) if isinstance(step.event, kind)), None)
    return _cause(step, findings[0].subject, findings[0].reason, findings[0].message) if step else None


def _from_problems(steps: Sequence[Step], component: str) -> RootCause | None:
    """The first sight of the problem that the component's pods report last."""
    first: tuple[Step, e.Problem] | None = None
    for step in reversed(steps):
        if not isinstance(step.event, e.ComponentObserved) or step.event.component != component:
            continue
        problems = step.event.problems
        same = next((p for p in problems if first is None or p.reason == first[1].reason), None)
        if same is None:
            break
        first = (step, first[1] if first else same)
    return _cause(first[0], first[1].subject, first[1].reason, first[1].message) if first else None


def _from_failed_action(steps: Sequence[Step]) -> RootCause | None:
    for step in reversed(steps):
        if isinstance(step.event, e.ActionFailed):
            return _cause(step, str(step.event.ref), step.event.reason, step.event.message)
        if isinstance(step.event, e.LastKnownGoodRecorded):
            return None
    return None


def _from_failed_component(steps: Sequence[Step], component: str | None) -> RootCause | None:
    for step in reversed(steps):
        event = step.event
        if not isinstance(event, e.ComponentPhaseChanged) or component not in {None, event.component}:
            continue
        if event.to_phase is ComponentPhase.FAILED:
            return _cause(step, event.component, event.reason, event.message)
    return None


def _cause(step: Step, subject: str, reason: str, message: str) -> RootCause:
    time = step.recorded.occurred_at
    return RootCause(sequence=step.version, time=time, subject=subject, reason=reason, message=message)
