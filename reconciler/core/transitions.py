"""The state transition diagram as one table. A pair outside it cannot be recorded."""

from eventstore.events import Decision, PhaseChanged
from eventstore.vocabulary import Phase, Trigger
from projections.state import PlatformState

#: (phase before, word on the arrow) -> phase after. None before: not created yet; None after: gone.
TRANSITIONS: dict[tuple[Phase | None, Trigger], Phase | None] = {
    (None, Trigger.CREATE): Phase.PENDING,
    (Phase.PENDING, Trigger.VALIDATED): Phase.INSTALLING,
    (Phase.PENDING, Trigger.VALIDATION_ERROR): Phase.FAILED,
    (Phase.INSTALLING, Trigger.ALL_COMPONENTS_READY): Phase.READY,
    (Phase.INSTALLING, Trigger.DEPLOYMENT_ERROR): Phase.FAILED,
    (Phase.READY, Trigger.VERSION_CHANGE): Phase.UPGRADING,
    (Phase.READY, Trigger.HEALTH_CHECK_FAILED): Phase.FAILED,
    (Phase.READY, Trigger.MINOR_UPDATE): Phase.READY,
    (Phase.READY, Trigger.DELETE): None,
    (Phase.FAILED, Trigger.RETRY_FIX): Phase.INSTALLING,
    (Phase.FAILED, Trigger.DELETE): None,
    (Phase.UPGRADING, Trigger.SUCCESS): Phase.READY,
    (Phase.UPGRADING, Trigger.UPGRADE_ERROR): Phase.FAILED,
}

#: The arrow to Failed that each phase has.
FAILURE_TRIGGERS: dict[Phase, Trigger] = {
    Phase.PENDING: Trigger.VALIDATION_ERROR,
    Phase.INSTALLING: Trigger.DEPLOYMENT_ERROR,
    Phase.READY: Trigger.HEALTH_CHECK_FAILED,
    Phase.UPGRADING: Trigger.UPGRADE_ERROR,
}


class IllegalTransitionError(Exception):
    """The state transition diagram has no such arrow."""

    def __init__(self, phase: Phase | None, trigger: Trigger) -> None:
        super().__init__(f"the state transition diagram has no arrow {trigger.value!r} from {phase or '[*]'}")


def transition(state: PlatformState, trigger: Trigger, reason: str, message: str) -> PhaseChanged:
    """The event that takes the platform along an arrow of the diagram.

    Raises:
        IllegalTransitionError: the diagram has no such arrow.
    """
    target = TRANSITIONS.get((state.phase, trigger))
    if target is None:
        raise IllegalTransitionError(state.phase, trigger)
    generation = state.observed.generation if state.observed else 0
    return PhaseChanged(
        from_phase=state.phase,
        to_phase=target,
        trigger=trigger,
        reason=reason,
        message=message,
        generation=generation,
    )


def is_legal(event: Decision) -> bool:
    """Whether a recorded phase change is an arrow of the diagram; True for every other decision."""
    if not isinstance(event, PhaseChanged):
        return True
    return TRANSITIONS.get((event.from_phase, event.trigger)) == event.to_phase
