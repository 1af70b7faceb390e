"""How things stand in a session: the operator's processes, and each platform as its folded state tells it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from eventstore.vocabulary import INSTALL_ORDER
from projections.state import PlatformState
from reconciler.core.conditions import conditions
from reconciler.core.deadlines import next_due
from reconciler.core.plan import WaitingOn, open_requests, plan
from simulator.session import Session


class ComponentView(msgspec.Struct, frozen=True, rename="camel"):
    """One component."""

    phase: str
    version: str
    #: Ready and desired replicas.
    replicas: str
    #: Kubernetes' own words for what is wrong with its pods.
    problems: tuple[str, ...] = ()


class ConditionView(msgspec.Struct, frozen=True, rename="camel"):
    """One condition."""

    status: str
    reason: str
    message: str


class PlanView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be done, and what is waited for."""

    #: Writes that are asked for, or would be by now.
    due: tuple[str, ...] = ()
    #: `PreviousComponent`, `Prerequisites`, ... -> what of.
    waiting_for: dict[str, tuple[str, ...]] = {}
    #: Retry that is scheduled, of how many; 0: a slow look, or none.
    retry: int = 0
    retries_max: int = 0
    retry_at: datetime | None = None
    #: When something follows though nothing changes; None: never.
    next_at: datetime | None = None


class PlatformView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One platform."""

    name: str
    uid: str
    phase: str
    reason: str
    generation: int
    components: dict[str, ComponentView]
    conditions: dict[str, ConditionView]
    plan: PlanView
    #: Nothing more happens here.
    closed: bool


class OperatorView(msgspec.Struct, frozen=True, rename="camel"):
    """One process of the operator."""

    name: str
    #: `leads`, `stands by`, `stands still`, `is down`
    how: str
    epoch: int = 0
    #: When it is started again.
    back_at: datetime | None = None


class SessionView(msgspec.Struct, frozen=True, rename="camel"):
    """Everything."""

    now: datetime
    operators: tuple[OperatorView, ...]
    #: By stream.
    platforms: dict[str, PlatformView]


def look(session: Session) -> SessionView:
    """How things stand now."""
    now = session.universe.clock.now()
    streams = session.simulation.facts.streams
    platforms = {stream_id: _platform(stream.state, now) for stream_id, stream in streams.items()}
    return SessionView(now, tuple(_operators(session)), platforms)


def _operators(session: Session) -> Iterator[OperatorView]:
    clock = session.universe.clock
    for replica in session.simulation.replicas:
        epoch = replica.leadership.epoch()
        how = "stands still" if replica.stalled else "leads" if epoch is not None else "stands by"
        yield OperatorView(replica.name, how, epoch or 0)
    for at, name in session.simulation.restarts():
        yield OperatorView(name, "is down", back_at=clock.wall(at))


def _platform(state: PlatformState, now: datetime) -> PlatformView:
    return PlatformView(
        name=state.name,
        uid=state.stream_id,
        phase=str(state.phase or ""),
        reason=state.phase_reason,
        generation=state.observed.generation if state.observed else 0,
        components=dict(_components(state)),
        conditions={one.type: ConditionView(one.status, one.reason, one.message) for one in conditions(state)},
        plan=_plan(state, now),
        closed=state.closed,
    )


def _components(state: PlatformState) -> Iterator[tuple[str, ComponentView]]:
    for name in INSTALL_ORDER:
        component = state.components.get(name)
        if component is None:
            continue
        running, wanted = component.running_version, component.desired_version
        version = wanted if running in ("", wanted) else f"{running}, wanted {wanted}"
        replicas = f"{component.ready_replicas}/{component.desired_replicas}"
        problems = tuple(sorted({problem.reason for problem in component.problems}))
        yield name.value, ComponentView(component.phase.value, version, replicas, problems)


def _plan(state: PlatformState, now: datetime) -> PlanView:
    if state.closed:
        return PlanView()
    planned = plan(state, now)
    asked = [str(request.ref or "finalizer") for request in open_requests(state, now)]
    wanted = [str(getattr(request, "ref", "finalizer")) for request in planned.requests]
    waiting: dict[str, tuple[str, ...]] = {}
    for one in planned.waiting_on:
        waiting[one.on.value] = (*waiting.get(one.on.value, ()), *_named(one.subject))
    if WaitingOn.PREREQUISITES in waiting:
        waiting[WaitingOn.PREREQUISITES.value] = tuple(finding.subject for finding in state.missing)
    retry = state.retry
    # One whose time has come is under way: what it asks for is among what is due.
    is_ahead = retry.due_at is not None and retry.due_at > now
    return PlanView(
        due=(*asked, *wanted),
        waiting_for=waiting,
        retry=retry.attempt if is_ahead and not retry.probe else 0,
        retries_max=state.policy.retries_max,
        retry_at=retry.due_at if is_ahead else None,
        next_at=next_due(state, now),
    )


def _named(subject: str) -> Iterable[str]:
    return (subject,) if subject else ()
