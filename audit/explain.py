"""Why a platform is as it is: the deepest failing fact first, then the chain of events from it to the phase."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from audit.errors import NotFoundError
from audit.root_cause import RootCause, Step, find_root_cause
from audit.wording import arrow, summary
from eventstore import events as e
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.vocabulary import ComponentPhase, ConditionType, ErrorCategory, Phase
from projections.platform import evolve, initial
from projections.state import PlatformState
from reconciler.core.conditions import conditions

#: The user behind a field manager is only in the API server's audit log.
USER_UNKNOWN = "user unknown (no audit source)"


class Link(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step of the chain; several of a kind in a row are one link."""

    first_sequence: int
    last_sequence: int
    time: datetime
    type: str
    text: str
    count: int = 1


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to "why is it so?"."""

    namespace: str
    name: str
    #: The event that is explained.
    sequence: int
    headline: str
    root_cause: RootCause | None
    #: From the explained event back to where it began.
    chain: tuple[Link, ...]
    kept_running: str = ""
    next_attempt_at: datetime | None = None
    fix: str = ""
    #: What is still to come while nothing is wrong; "" if it is as it should be.
    waiting_for: str = ""


def explain(events: Sequence[RecordedEvent], version: int, component: str = "") -> Explanation:
    """Explain the newest phase change (of a component, if one is named) at or before `version`.

    Raises:
        NotFoundError: there was none yet.
        UnknownEventError, CorruptEventError: an event up to `version` cannot be read.
    """
    steps = [Step(recorded, decode(recorded)) for recorded in events if recorded.version <= version]
    state = initial(events[0].stream_id)
    for step in steps:
        state = evolve(state, step.event, step.recorded.occurred_at)
    subject = _subject(steps, component)
    root = find_root_cause(state, steps, component)
    return Explanation(
        namespace=state.namespace,
        name=state.name,
        sequence=subject.version,
        headline=_headline(state, subject, component),
        root_cause=root,
        chain=tuple(_chain(steps, subject, root)),
        kept_running=_kept_running(state),
        next_attempt_at=state.retry.due_at,
        fix=_fix(state, root),
        waiting_for=_waiting_for(state) if root is None else "",
    )


def _subject(steps: Sequence[Step], component: str) -> Step:
    for step in reversed(steps):
        if component:
            if isinstance(step.event, e.ComponentPhaseChanged) and step.event.component == component:
                return step
        elif isinstance(step.event, e.PhaseChanged):
            return step
    raise NotFoundError(f"{component or 'the platform'} had no phase yet at that point")


def _headline(state: PlatformState, subject: Step, component: str) -> str:
    event = subject.event
    assert isinstance(event, e.PhaseChanged | e.ComponentPhaseChanged)
    who = f"{state.name}'s {component}" if component else state.name
    because = f"{event.reason}: {event.message}".rstrip(":. ")
    text = f"{who} became {event.to_phase} at seq {subject.version} because of {because}."
    if state.missing and not component:
        text += f" It waits for {', '.join(finding.subject or finding.reason for finding in state.missing)}."
    if state.retry.exhausted and state.phase is Phase.FAILED:
        text += f" All {state.policy.retries_max} retries are spent."
    if state.deletion_requested_at is not None:
        text += " It was deleted since." if state.closed else " Its deletion was asked for."
    if state.paused and not state.closed:
        text += " It is paused: nothing is written."
    return text


# -- chain ---------------------------------------------------------------------------------------------------------

#: Events that move the story on; the rest is detail that `history --all` shows.
_STORY = (
    e.PhaseChanged,
    e.RetryScheduled,
    e.RetriesExhausted,
    e.ActionFailed,
    e.SpecRejected,
    e.PrerequisiteMissing,
    e.RollbackStarted,
    e.DeletionRequested,
    e.DriftDetected,
    e.FinalizerStripped,
    e.LedgerReset,
    e.ClusterRewound,
)


def _chain(steps: Sequence[Step], subject: Step, root: RootCause | None) -> Iterator[Link]:
    """Backwards from the explained event to what began it: a change of the spec, the first sight, or the last time
    that all was well.
    """
    group: list[Step] = []
    steps = [step for step in steps if step.version <= subject.version]
    attempts = set(_attempts(steps)) - {subject.version}
    for step in reversed(steps):
        if step.version in attempts:
            continue
        begins = isinstance(step.event, e.PlatformObserved) or (step is not subject and _became_ready(step.event))
        if not begins and not _tells(step, root):
            continue
        if group and type(group[0].event) is type(step.event) and _is_foldable(step.event):
            group.append(step)
            continue
        if group:
            yield _link(group)
        group = [step]
        if begins:
            break
    if group:
        yield _link(group)


def _attempts(steps: Sequence[Step]) -> Iterator[int]:
    """Versions of the phase changes of retries that failed again: the RetryScheduled before them tells it all."""
    attempt: list[int] = []
    trying = False
    for step in steps:
        event = step.event
        trying = trying or (isinstance(event, e.PhaseChanged) and event.reason in {"RetryDue", "SlowProbe"})
        if trying and isinstance(event, e.PhaseChanged | e.ComponentPhaseChanged):
            attempt.append(step.version)
        if isinstance(event, e.PhaseChanged) and event.to_phase in {Phase.FAILED, Phase.READY}:
            yield from attempt if event.to_phase is Phase.FAILED else ()
            attempt, trying = [], False


def _became_ready(event: e.Event) -> bool:
    return isinstance(event, e.PhaseChanged) and event.to_phase is Phase.READY and event.from_phase is not Phase.READY


def _tells(step: Step, root: RootCause | None) -> bool:
    event = step.event
    if root is not None and step.version == root.sequence:
        return True
    if isinstance(event, e.ComponentPhaseChanged):
        return event.to_phase is ComponentPhase.FAILED
    return isinstance(event, _STORY)


def _is_foldable(event: e.Event) -> bool:
    return isinstance(event, e.RetryScheduled | e.ActionFailed)


def _link(group: Sequence[Step]) -> Link:
    newest, oldest = group[0], group[-1]
    return Link(
        first_sequence=oldest.version,
        last_sequence=newest.version,
        time=newest.recorded.occurred_at,
        type=newest.recorded.type,
        text=_link_text(group),
        count=len(group),
    )


def _link_text(group: Sequence[Step]) -> str:
    event = group[0].event
    if isinstance(event, e.PlatformObserved):
        changed = "created" if event.generation == 1 else ", ".join(event.changed_paths)
        return f"generation {event.generation}: {changed}   manager {event.field_manager}, {USER_UNKNOWN}"
    if isinstance(event, e.PhaseChanged):
        return f"{arrow(event.from_phase, event.to_phase)}  {event.trigger.value}: {event.reason}"
    if isinstance(event, e.RetryScheduled) and len(group) > 1:
        waits = [_wait(step) for step in reversed(group)]
        return f"{len(group)} times, waits {' '.join(waits)}: {event.reason}"
    return (f"{len(group)} times: " if len(group) > 1 else "") + summary(event)


def _wait(step: Step) -> str:
    assert isinstance(step.event, e.RetryScheduled)
    return f"{(step.event.due_at - step.recorded.occurred_at).total_seconds():.0f}s"


# -- what goes on, and what to do ----------------------------------------------------------------------------------


def _kept_running(state: PlatformState) -> str:
    if state.known_good is None or state.phase in {None, Phase.READY}:
        return ""
    running = [f"{name} {c.running_version}" for name, c in state.components.items() if c.running_version]
    return f"{', '.join(running) or 'nothing seen running'} (last known good: seq {state.known_good.sequence})"


_ASK_AGAIN = 'kubectl annotate --overwrite obsp {name} -n {namespace} stackledger.io/retry-at="$(date +%s)"'
_FIXES = {
    "ImagePullBackOff": "set spec.components.{component}.version (or image) to a tag that exists",
    "ErrImagePull": "set spec.components.{component}.version (or image) to a tag that exists",
    "CrashLoopBackOff": "read the log: kubectl logs -n {namespace} {kubectl} --previous",
    "OOMKilled": "raise spec.components.{component}.resources.limits.memory",
    "Unschedulable": "make room: nodes, requests, node selectors and volumes of {subject}",
    "HealthCheckFailed": "see what its pods say: kubectl describe pods -n {namespace} "
    "-l stackledger.io/platform={name},stackledger.io/component={component}",
    "RolledBack": f"change the spec, or try the same again: {_ASK_AGAIN}",
    "AdoptionRefused": f"set spec.adopt: true, or delete {{subject}} and say so: {_ASK_AGAIN}",
    "QuotaExceeded": "raise the quota or lower the requests; it goes on by itself",
    "PermissionDenied": "give the operator the permission named above; it goes on by itself",
}


def _waiting_for(state: PlatformState) -> str:
    ready = next((c for c in conditions(state) if c.type is ConditionType.READY), None)
    return "" if state.closed or ready is None or ready.status == "True" else ready.message


def _fix(state: PlatformState, root: RootCause | None) -> str:
    if root is None:
        return ""
    component = next((name for name, c in state.components.items() if c.problems or c.phase == "Failed"), "NAME")
    known = _FIXES.get(root.reason)
    if known:
        return known.format(
            component=component,
            subject=root.subject,
            kubectl=root.subject.lower(),
            name=state.name,
            namespace=state.namespace,
        )
    if root.subject.startswith("spec"):
        return f"edit {root.subject}"
    if state.missing:
        return f"provide {root.subject}; it goes on by itself"
    category = state.failure.category if state.failure else None
    if category is ErrorCategory.TRANSIENT:
        return "none needed: it is tried again"
    return ""
