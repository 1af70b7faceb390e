"""The conditions of a platform, from its folded state. Pure; the table is in docs/state-machine.md.

Ready, Available, Progressing and Degraded are always there. Reconciling, Stalled and Paused exist only while they are
true, as kstatus expects of abnormal-true conditions.
"""

from collections.abc import Iterator

import msgspec

from eventstore.vocabulary import ComponentName, ComponentPhase, ConditionType, ErrorCategory, Phase
from projections.state import ComponentState, PlatformState
from reconciler.core.progress import in_install_order, is_complete, is_healthy, wanted_components
from reconciler.core.recovery import configuration_error

#: The longest message a condition carries; the whole text is in the log.
MESSAGE_LENGTH_MAX = 1024


class Condition(msgspec.Struct, frozen=True):
    """One entry of `.status.conditions`, without its times."""

    type: ConditionType
    #: `True`, `False` or `Unknown`
    status: str
    reason: str
    message: str


def conditions(state: PlatformState) -> tuple[Condition, ...]:
    """All conditions that hold for the state."""
    return tuple(
        msgspec.structs.replace(condition, message=_short(condition.message)) for condition in _conditions(state)
    )


def condition_changes(state: PlatformState) -> dict[str, str]:
    """Condition type -> new status, for those that flipped since they were recorded; "" for one that is gone."""
    now = {condition.type.value: condition.status for condition in conditions(state)}
    recorded = {kind: status for kind, (status, _) in state.conditions.items()}
    changed = {kind: status for kind, status in now.items() if recorded.get(kind) != status}
    return changed | {kind: "" for kind in recorded if kind not in now}


def _conditions(state: PlatformState) -> Iterator[Condition]:
    if state.phase is None:
        return
    if state.deletion_requested_at is not None:
        yield from _deleting(state)
        return
    ready, progressing = _ready(state), _progressing(state)
    yield ready
    yield _available(state)
    if state.paused:
        message = "spec.paused is true: nothing is written to the components; set it to false to go on"
        yield Condition(ConditionType.PROGRESSING, "False", "PausedBySpec", message)
        yield _degraded(state)
        yield Condition(ConditionType.PAUSED, "True", "PausedBySpec", message)
        return
    yield progressing
    yield _degraded(state)
    if progressing.status == "True":
        yield Condition(ConditionType.RECONCILING, "True", progressing.reason, progressing.message)
    elif state.phase is Phase.FAILED:
        yield Condition(ConditionType.STALLED, "True", ready.reason, _next_step(state))
    elif state.rolled_back:
        # What was asked for last will not come by itself. Whoever follows kstatus (Helm, Flux) looks at this one only.
        yield Condition(ConditionType.STALLED, "True", "RolledBack", _rollback_message(state))


def _deleting(state: PlatformState) -> Iterator[Condition]:
    left = ", ".join(sorted(str(child.ref) for child in state.objects.values())) or "nothing"
    message = f"being deleted; still to be removed: {left}"
    yield Condition(ConditionType.READY, "False", "Deleting", message)
    yield Condition(ConditionType.AVAILABLE, "False", "Deleting", message)
    yield Condition(ConditionType.PROGRESSING, "True", "Deleting", message)
    yield Condition(ConditionType.DEGRADED, "False", "AsExpected", "")
    yield Condition(ConditionType.RECONCILING, "True", "Deleting", message)


def _ready(state: PlatformState) -> Condition:
    kind = ConditionType.READY
    if state.phase is Phase.FAILED:
        return Condition(kind, "False", _failed_reason(state), root_cause(state))
    if state.missing:
        return Condition(kind, "False", state.missing[0].reason, "; ".join(f.message for f in state.missing))
    if state.failure is not None:
        return Condition(kind, "False", state.failure.reason, root_cause(state))
    if state.phase is Phase.PENDING:
        return Condition(kind, "Unknown", "PreflightRunning", "pre-flight checks are running")
    if state.phase is Phase.INSTALLING:
        return Condition(kind, "False", "ComponentsInstalling", progress_message(state))
    if state.phase is Phase.UPGRADING:
        return Condition(kind, "False", "UpgradeInProgress", progress_message(state))
    if not is_complete(state):
        reason = "PausedBySpec" if state.paused else "UpdateInProgress"
        return Condition(kind, "Unknown", reason, _unfinished(state))
    if state.paused and _waits_for_resume(state):
        return Condition(kind, "Unknown", "PausedBySpec", "the newest spec waits until spec.paused is false")
    return Condition(kind, "True", "AllComponentsReady", progress_message(state))


def _available(state: PlatformState) -> Condition:
    kind = ConditionType.AVAILABLE
    serving = serving_components(state)
    if not serving or (state.phase is Phase.INSTALLING and state.known_good is None):
        return Condition(kind, "False", "NotInstalled" if state.known_good is None else "NothingServing", "")
    message = f"serving: {', '.join(serving)}"
    if len(serving) == len(state.components) and state.phase is Phase.READY:
        return Condition(kind, "True", "AllComponentsReady", message)
    if state.phase is Phase.UPGRADING:
        return Condition(kind, "True", "RollingUpdate", message)
    return Condition(kind, "True", "LastKnownGoodServing" if state.known_good else "PartlyServing", message)


def _progressing(state: PlatformState) -> Condition:
    kind = ConditionType.PROGRESSING
    blocked = state.missing or state.failure
    match state.phase:
        case Phase.PENDING:
            return Condition(kind, "True", "Preflight" if not blocked else "WaitingForPrerequisites", root_cause(state))
        case Phase.FAILED if state.retry.due_at is not None and not state.retry.probe:
            return Condition(kind, "True", "RetryScheduled", _retry_message(state))
        case Phase.FAILED:
            return Condition(kind, "False", _failed_reason(state), _next_step(state))
        case Phase.INSTALLING:
            return Condition(kind, "True", "ComponentsInstalling", progress_message(state))
        case Phase.UPGRADING:
            return Condition(kind, "True", "UpgradeInProgress", progress_message(state))
        case _ if blocked or not is_complete(state):
            return Condition(kind, "True", "UpdateInProgress", _unfinished(state))
    return Condition(kind, "False", "AsExpected", "")


def _degraded(state: PlatformState) -> Condition:
    kind = ConditionType.DEGRADED
    failed = [name for name, c in in_install_order(state.components) if c.phase is ComponentPhase.FAILED]
    if failed:
        message = f"{len(failed)} of {len(state.components)}: {', '.join(failed)}"
        return Condition(kind, "True", "ComponentFailed", message)
    if state.rolled_back:
        return Condition(kind, "True", "RolledBack", _rollback_message(state))
    if state.phase is Phase.FAILED:
        return Condition(kind, "True", state.phase_reason, root_cause(state))
    if state.phase is Phase.READY and (state.missing or state.failure):
        return Condition(kind, "True", _blocker(state), root_cause(state))
    unready = [name for name in wanted_components(state) if _is_unready(state.components.get(name))]
    retrying = state.phase is Phase.INSTALLING and state.retry.attempt > 0
    if unready and (state.phase is Phase.READY or retrying):
        return Condition(kind, "True", "ComponentNotReady", f"not ready: {', '.join(unready)}")
    return Condition(kind, "False", "AsExpected", "")


# -- words ---------------------------------------------------------------------------------------------------------


def serving_components(state: PlatformState) -> list[ComponentName]:
    """Components with at least one ready replica, in install order."""
    return [name for name in wanted_components(state) if (c := state.components.get(name)) and c.ready_replicas > 0]


def ready_components(state: PlatformState) -> list[ComponentName]:
    """Components that are Ready and healthy, in install order."""
    return [
        name
        for name in wanted_components(state)
        if (c := state.components.get(name)) and c.phase is ComponentPhase.READY and is_healthy(state, name)
    ]


def progress_message(state: PlatformState) -> str:
    """`2/5 ready, waiting for tempo (0/1 replicas)`"""
    wanted = list(wanted_components(state))
    ready = ready_components(state)
    counted = f"{len(ready)}/{len(wanted)} ready"
    waiting = next((name for name in wanted if name not in ready), None)
    if waiting is None:
        return counted
    component = state.components.get(waiting)
    replicas = f" ({component.ready_replicas}/{component.desired_replicas} replicas)" if component else ""
    return f"{counted}, waiting for {waiting}{replicas}"


def root_cause(state: PlatformState) -> str:
    """Why it is not ready, deepest fact first, and where the retries stand."""
    if state.phase is Phase.FAILED and (fatal := configuration_error(state)):
        return fatal.message
    if state.missing:
        return "; ".join(finding.message for finding in state.missing)
    if state.failure is not None:
        retries = f" ({state.retry.attempt}/{state.policy.retries_max} retries)" if state.retry.attempt else ""
        return f"{state.failure.subject}: {state.failure.message}{retries}"
    return state.phase_message


def _failed_reason(state: PlatformState) -> str:
    exhausted = state.retry.exhausted and configuration_error(state) is None
    return "RetriesExhausted" if exhausted else state.phase_reason


def _unfinished(state: PlatformState) -> str:
    """What keeps a Ready platform from being as it should: objects that were changed, else what rolls out."""
    drifted = [str(child.ref) for _, child in sorted(state.objects.items()) if child.drift is not None]
    if not drifted:
        return progress_message(state)
    todo = "not corrected while spec.paused is true" if state.paused else "being corrected"
    return f"{progress_message(state)}; changed by somebody else and {todo}: {', '.join(drifted)}"


def _blocker(state: PlatformState) -> str:
    if state.missing:
        return state.missing[0].reason
    return state.failure.reason if state.failure else ""


def _waits_for_resume(state: PlatformState) -> bool:
    """A spec that was edited while paused: nobody may take its generation for rolled out."""
    assert state.observed is not None
    return state.accepted is not None and state.observed.digest not in {state.accepted.digest, state.quarantined}


def _is_unready(component: ComponentState | None) -> bool:
    return component is not None and component.observed and component.unready_since is not None


def _retry_message(state: PlatformState) -> str:
    due = state.retry.due_at.isoformat(timespec="seconds") if state.retry.due_at else ""
    return f"retry {state.retry.attempt} of {state.policy.retries_max} is due at {due}: {root_cause(state)}"


def _next_step(state: PlatformState) -> str:
    fatal = configuration_error(state)
    if fatal is not None:
        return f"waits for a change of the spec or of what it refers to: {fatal.message}"
    seconds = f"{state.policy.slow_probe_seconds:g}"
    category = state.failure.category if state.failure else ErrorCategory.COMPONENT
    return f"retries are spent ({category} error); looked at every {seconds} s, and at once when something changes"


def _rollback_message(state: PlatformState) -> str:
    asked = state.observed.generation if state.observed else 0
    running = state.accepted.versions if state.accepted else {}
    versions = ", ".join(f"{name} {version}" for name, version in in_install_order(running))
    return f"generation {asked} failed ({state.rollback_message}); running the last known good: {versions}"


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_LENGTH_MAX else message[: MESSAGE_LENGTH_MAX - 1] + "…"
