"""How components get from Pending to Ready and when they count as failed; when the platform as a whole is there."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from eventstore.events import (
    ComponentPhaseChanged,
    ComponentUpgraded,
    Decision,
    LastKnownGoodRecorded,
    RetryReset,
    RollbackCompleted,
)
from eventstore.vocabulary import INSTALL_ORDER, ComponentName, ComponentPhase, Phase, Trigger
from projections.state import ComponentState, PlatformState
from reconciler.core.deadlines import STARTING, failure_of, ready_at
from reconciler.core.desired import desired_objects
from reconciler.core.transitions import transition

Decisions = tuple[Decision, ...]
_T = TypeVar("_T")


def decide_components(state: PlatformState, now: datetime) -> Decisions:
    """One step of the first component that can take one, in install order."""
    if state.accepted is None or state.paused:
        return ()
    gate_open = True
    for name in wanted_components(state):
        component = state.components.get(name)
        if component is None:
            return ()
        step = _step(state, name, component, now, gate_open=gate_open)
        if step:
            return step
        gate_open = gate_open and _is_settled(state, name, component) and component.unready_since is None
    return ()


def decide_completion(state: PlatformState) -> Decisions:
    """Installing or Upgrading to Ready, and what is put down once the platform is Ready as a whole.

    A component that was ready and is not any more is given time to recover, but nothing is concluded meanwhile: what
    fails a little later would have been called good, and there would be nothing to go back to.
    """
    if not is_complete(state) or state.paused or _is_anything_unready(state):
        return ()
    assert state.accepted is not None
    count = f"{len(state.accepted.versions)}/{len(state.accepted.versions)} components ready"
    if state.phase is Phase.INSTALLING:
        return (transition(state, Trigger.ALL_COMPONENTS_READY, "AllComponentsReady", count),)
    if state.phase is Phase.UPGRADING:
        return (transition(state, Trigger.SUCCESS, "UpgradeCompleted", count),)
    return _decide_ready(state)


def _decide_ready(state: PlatformState) -> Decisions:
    assert state.accepted is not None
    decisions: list[Decision] = []
    if state.known_good is None or state.known_good.spec.digest != state.accepted.digest:
        decisions.append(
            LastKnownGoodRecorded(
                generation=state.accepted.generation,
                digest=state.accepted.digest,
                versions=state.accepted.versions,
                manifests={
                    # Some were asked for, wanted no longer before anybody had made them, and are only known by name.
                    key: child.applied_digest
                    for key, child in sorted(state.objects.items())
                    if child.applied_digest
                },
            )
        )
    if state.rolling_back:
        decisions.append(RollbackCompleted(versions=state.accepted.versions))
    if state.failure is None and (state.retry.attempt or state.retry.exhausted):
        decisions.append(RetryReset(reason="Recovered"))
    return tuple(decisions)


def in_install_order(by_component: Mapping[str, _T]) -> Iterator[tuple[str, _T]]:
    """The entries of a mapping by component. The order of its keys is no fact: a restart and a replay have another."""
    for name in INSTALL_ORDER:
        if name in by_component:
            yield name.value, by_component[name]


def wanted_components(state: PlatformState) -> Iterable[ComponentName]:
    """The enabled components of the accepted spec, in install order."""
    wanted = state.accepted.versions if state.accepted else {}
    return [name for name in INSTALL_ORDER if name in wanted]


def is_healthy(state: PlatformState, name: ComponentName) -> bool:
    """Every replica is ready and runs the newest template."""
    component = state.components.get(name)
    if component is None or not component.observed:
        return False
    return component.rolled_out and component.ready_replicas >= component.desired_replicas > 0


def is_applied(state: PlatformState, name: ComponentName | None) -> bool:
    """Every object the component consists of is as it should be, as far as the API server said."""
    return all(
        (child := state.objects.get(wanted.key)) is not None
        and (child.applied_digest == wanted.digest or (wanted.create_only and bool(child.applied_digest)))
        and child.drift is None
        and not child.request
        for wanted in desired_objects(state)
        if wanted.component == name
    )


def is_complete(state: PlatformState) -> bool:
    """Every component is Ready in the wanted version and every object is verified: what Ready promises."""
    wanted = wanted_components(state)
    return (
        bool(wanted)
        and all(
            (component := state.components.get(name)) is not None and _is_settled(state, name, component)
            for name in wanted
        )
        and is_applied(state, None)
    )


def _is_anything_unready(state: PlatformState) -> bool:
    return any(state.components[name].unready_since is not None for name in wanted_components(state))


def _is_settled(state: PlatformState, name: ComponentName, component: ComponentState) -> bool:
    assert state.accepted is not None
    return (
        component.phase is ComponentPhase.READY
        and component.desired_version == state.accepted.versions[name]
        and component.rollout_since is None
        and is_applied(state, name)
    )


def _step(
    state: PlatformState, name: ComponentName, component: ComponentState, now: datetime, *, gate_open: bool
) -> Decisions:
    assert state.accepted is not None
    version = state.accepted.versions[name]
    if component.phase in STARTING and component.desired_version != version:
        # The spec was edited on the way: the same start, with another target and its full time.
        return (_change(name, component, component.phase, "TargetChanged", version=version),)
    failure = failure_of(state, component)
    if failure is not None and component.phase is not ComponentPhase.FAILED and now >= failure.at:
        return (_change(name, component, ComponentPhase.FAILED, failure.reason, failure.message),)
    match component.phase:
        case ComponentPhase.PENDING if gate_open:
            return (_change(name, component, ComponentPhase.INSTALLING, "InstallStarted", version=version),)
        case ComponentPhase.READY if gate_open and component.desired_version != version:
            return (_change(name, component, ComponentPhase.UPGRADING, "UpgradeStarted", version=version),)
        case ComponentPhase.INSTALLING | ComponentPhase.UPGRADING:
            return _finish(state, name, component, now)
    return ()


def _finish(state: PlatformState, name: ComponentName, component: ComponentState, now: datetime) -> Decisions:
    ready = ready_at(state, component)
    if ready is None or now < ready or not is_applied(state, name) or not _runs_wanted_version(component):
        return ()
    version = component.desired_version
    became_ready = _change(name, component, ComponentPhase.READY, "ComponentReady", version=version)
    if component.phase is ComponentPhase.UPGRADING and component.upgrading_from != version:
        return (
            became_ready,
            ComponentUpgraded(component=name, from_version=component.upgrading_from, to_version=version),
        )
    return (became_ready,)


def _runs_wanted_version(component: ComponentState) -> bool:
    # An image given by digest does not tell its version; then a finished rollout has to do.
    running = component.running_version.removeprefix("v")
    return not running or running == component.desired_version.removeprefix("v")


def _change(
    name: ComponentName, was: ComponentState, to: ComponentPhase, reason: str, message: str = "", version: str = ""
) -> ComponentPhaseChanged:
    return ComponentPhaseChanged(
        component=name, from_phase=was.phase, to_phase=to, reason=reason, message=message, version=version
    )
