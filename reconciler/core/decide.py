"""`decide`: what follows from what is known. Pure: a state and an instant in, decisions out.

Asked again after its decisions are folded in, it goes one step further, and in the end answers nothing: `conclude` runs
it to that point. The order of the rules below is their priority; the first one that has something to say ends the step.
"""

from datetime import datetime

from eventstore.events import (
    BackupCompleted,
    BackupFailed,
    BackupStarted,
    ComponentPhaseChanged,
    ComponentRemoved,
    ConditionsChanged,
    Decision,
    Paused,
    PrerequisiteMissing,
    PrerequisitesMet,
    Resumed,
    SpecAccepted,
    SpecQuarantined,
    SpecRejected,
    UpgradeStarted,
)
from eventstore.vocabulary import ComponentName, ComponentPhase, Phase, Trigger
from projections.state import PlatformState
from reconciler.core.conditions import condition_changes
from reconciler.core.judge import judge, wants_pause
from reconciler.core.preflight import preflight
from reconciler.core.progress import decide_completion, decide_components, in_install_order
from reconciler.core.recovery import decide_failed, decide_failure, decide_retry
from reconciler.core.transitions import transition

Decisions = tuple[Decision, ...]


def decide(state: PlatformState, now: datetime) -> Decisions:
    """The next decisions at `now`; () if nothing follows from the state."""
    if state.closed or state.observed is None:
        return ()
    return _decide_lifecycle(state, now) or decide_conditions(state)


def _decide_lifecycle(state: PlatformState, now: datetime) -> Decisions:
    assert state.observed is not None
    if state.phase is None:
        message = f"{state.namespace}/{state.name} was seen for the first time"
        return (transition(state, Trigger.CREATE, "PlatformCreated", message),)
    if state.deletion_requested_at is not None:
        # Nothing else counts any more; what the teardown needs is planned, and failures on the way are retried.
        return decide_retry(state, now)
    return (
        _decide_pause(state)
        or _decide_spec(state)
        or _decide_enabled_components(state)
        or _decide_prerequisites(state)
        or decide_failure(state, now)
        or _decide_phase(state, now)
    )


def _decide_phase(state: PlatformState, now: datetime) -> Decisions:
    match state.phase:
        case Phase.PENDING:
            return decide_pending(state)
        case Phase.FAILED:
            return decide_failed(state, now)
        case _:
            return decide_components(state, now) or decide_completion(state)


def _decide_pause(state: PlatformState) -> Decisions:
    wanted = wants_pause(state)
    if wanted == state.paused:
        return ()
    return (Paused(),) if wanted else (Resumed(),)


# -- the spec ------------------------------------------------------------------------------------------------------


def _decide_spec(state: PlatformState) -> Decisions:
    """Judge a generation once, when it is not paused."""
    assert state.observed is not None
    if state.paused:
        return ()
    judged = state.observed.generation <= state.judged_generation
    if state.observed.digest == state.quarantined:
        return _decide_quarantined(state, judged=judged)
    return () if judged else _decide_verdict(state)


def _decide_quarantined(state: PlatformState, *, judged: bool) -> Decisions:
    """A spec that was rolled back waits until it changes or a retry is asked for."""
    assert state.observed is not None
    if state.retry_wanted == "Requested" and not (judged and state.findings):
        return _decide_verdict(state)
    if state.findings and not judged:
        # The user is back from a spec that was rejected: what ran before goes on.
        return (SpecQuarantined(digest=state.observed.digest, generation=state.observed.generation),)
    return ()


def _decide_verdict(state: PlatformState) -> Decisions:
    verdict = judge(state)
    if isinstance(verdict, SpecRejected):
        return (verdict,)
    return (verdict, *_decide_change(state, verdict))


def _decide_change(state: PlatformState, accepted: SpecAccepted) -> Decisions:
    """What an accepted spec means for a platform that is Ready: a version change upgrades, the rest is minor."""
    if state.phase is not Phase.READY or state.accepted is None:
        return ()
    before = state.accepted.versions
    upgraded = {name: version for name, version in accepted.versions.items() if before.get(name, version) != version}
    if upgraded:
        return _decide_upgrade(state, {name: before[name] for name in upgraded}, upgraded)
    if state.accepted.digest == accepted.digest:
        return ()
    message = f"generation {accepted.generation} changes no version: applied in place"
    return (transition(state, Trigger.MINOR_UPDATE, "MinorUpdate", message),)


def _decide_upgrade(state: PlatformState, before: dict[str, str], after: dict[str, str]) -> Decisions:
    """Put by what runs now, then enter Upgrading.

    The backup is of the state the operator is answerable for: every manifest that last worked is in the content store.
    """
    steps = ", ".join(f"{name} {before[name]} to {after[name]}" for name in after)
    backup: Decision
    if state.known_good is None:
        backup = BackupFailed(reason="NoKnownGood", message="the platform was never verified as a whole")
    else:
        backup = BackupCompleted(manifests=state.known_good.manifests, versions=state.known_good.spec.versions)
    return (
        BackupStarted(versions=before),
        backup,
        transition(state, Trigger.VERSION_CHANGE, "VersionChanged", steps),
        UpgradeStarted(from_versions=before, to_versions=after),
    )


def _decide_enabled_components(state: PlatformState) -> Decisions:
    """Components that the accepted spec newly asks for, and those that it no longer does."""
    if state.accepted is None or state.paused:
        return ()
    wanted = state.accepted.versions
    added = tuple(
        ComponentPhaseChanged(
            component=ComponentName(name),
            from_phase=None,
            to_phase=ComponentPhase.PENDING,
            reason="Enabled",
            version=version,
        )
        for name, version in in_install_order(wanted)
        if name not in state.components
    )
    gone = [name for name, _ in in_install_order(state.components) if name not in wanted]
    removed = tuple(ComponentRemoved(component=ComponentName(name)) for name in gone)
    return (*added, *removed)


# -- prerequisites -------------------------------------------------------------------------------------------------


def _decide_prerequisites(state: PlatformState) -> Decisions:
    if state.accepted is None or state.paused:
        return ()
    missing = preflight(state).missing
    if missing == state.missing:
        return ()
    return (PrerequisiteMissing(findings=missing),) if missing else (PrerequisitesMet(),)


def decide_pending(state: PlatformState) -> Decisions:
    """Pending to Installing, once every pre-flight check has passed and the finalizer is on."""
    if state.paused or state.accepted is None or state.missing or not state.finalizer:
        return ()
    message = f"generation {state.accepted.generation} is valid and everything it refers to is there"
    return (transition(state, Trigger.VALIDATED, "PreflightPassed", message),)


# -- conditions ----------------------------------------------------------------------------------------------------


def decide_conditions(state: PlatformState) -> Decisions:
    """Conditions whose status flipped: the event's time is their lastTransitionTime."""
    changed = condition_changes(state)
    return (ConditionsChanged(statuses=changed),) if changed else ()
