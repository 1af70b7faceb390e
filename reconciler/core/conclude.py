"""`conclude`: everything that follows at one instant: decide and plan, each folded in, until nothing is left to say.

This is what a reconcile pass appends and what a replay makes again and compares.
"""

from collections.abc import Iterable
from datetime import datetime

from eventstore.events import Decision, Event
from projections.platform import evolve
from projections.state import PlatformState
from reconciler.core.decide import decide
from reconciler.core.plan import plan
from reconciler.core.transitions import IllegalTransitionError, is_legal

#: A pass that is not done after so many steps is a mistake in the rules, not a busy platform.
STEPS_MAX = 200


class NotConvergingError(Exception):
    """The decisions about one platform do not come to an end: its stream is left as it is."""


def conclude(state: PlatformState, now: datetime) -> tuple[PlatformState, tuple[Decision, ...]]:
    """The state once everything is decided and planned at `now`, and the decisions that led there.

    Raises:
        NotConvergingError: the rules contradict each other.
        IllegalTransitionError: a rule left the state transition diagram.
    """
    concluded: list[Decision] = []
    for _ in range(STEPS_MAX):
        step = decide(state, now) or plan(state, now).requests
        if not step:
            return state, tuple(concluded)
        for decision in step:
            if not is_legal(decision):
                raise IllegalTransitionError(state.phase, decision.trigger)  # type: ignore[attr-defined]  # only PhaseChanged can be illegal
        state = apply_events(state, step, now)
        concluded += step
    raise NotConvergingError(
        f"{state.namespace}/{state.name}: still deciding after {STEPS_MAX} steps: {concluded[-3:]}"
    )


def apply_events(state: PlatformState, events: Iterable[Event], now: datetime) -> PlatformState:
    """The state after events that all occur at `now`."""
    for event in events:
        state = evolve(state, event, now)
    return state
