"""`plan`: which writes to the cluster are due, and why the others are not.

Pure: it reads the folded state only, so that a replay makes the same plan again. Its result are the events that ask for
the writes; once they are in the log, `open_requests` lists what is to be carried out. Execution has no choices left.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from eventstore.events import (
    ApplyRequested,
    Decision,
    DeleteRequested,
    FinalizerAddRequested,
    FinalizerReleaseRequested,
    ObjectRef,
    RequestSuperseded,
)
from eventstore.vocabulary import INSTALL_ORDER, ComponentName, ComponentPhase, Phase
from projections.state import ObjectState, PlatformState
from reconciler.core.deadlines import correction_at, teardown_deadline
from reconciler.core.desired import DesiredObject, desired_objects, is_renderable

_WRITING_PHASES = frozenset({Phase.INSTALLING, Phase.READY, Phase.UPGRADING})


class WaitingOn(StrEnum):
    """Why a write is not due."""

    PAUSED = "Paused"
    FINALIZER = "Finalizer"
    SPEC = "Spec"
    PREREQUISITES = "Prerequisites"
    RETRY_DUE = "RetryDue"
    TEARDOWN = "Teardown"
    PREVIOUS_COMPONENT = "PreviousComponent"


class Waiting(msgspec.Struct, frozen=True):
    """One thing that is waited for: `subject` is a component or an object, empty for the platform itself."""

    on: WaitingOn
    subject: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What is to be asked for now, and what is waited for."""

    requests: tuple[Decision, ...] = ()
    waiting_on: tuple[Waiting, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A write that the log asks for and that has no outcome yet."""

    #: Stream version of the event that asked for it.
    version: int
    #: None: it concerns the finalizer of the platform itself.
    ref: ObjectRef | None
    #: Digest of the manifest to apply; "" for a delete and for the finalizer.
    digest: str = ""
    uid: str = ""
    component: ComponentName | None = None


def plan(state: PlatformState, now: datetime) -> Plan:
    """Everything that is due at `now`. Nothing the second time, once the requests are folded in."""
    if state.closed or state.phase is None:
        return Plan()
    if state.deletion_requested_at is not None:
        return _plan_teardown(state, now)
    if state.paused:
        return Plan(waiting_on=(Waiting(WaitingOn.PAUSED),))
    # Whatever else is waited for: what nobody wants any more is not to be carried out.
    outdated = _outdated(state)
    if outdated:
        return Plan(outdated)
    if not state.finalizer:
        asked = bool(state.finalizer_request) or _retry_pending(state, now)
        return Plan(() if asked else (FinalizerAddRequested(),), (Waiting(WaitingOn.FINALIZER),))
    blocked = _blocked_by(state, now)
    if blocked is not None:
        return Plan(waiting_on=(Waiting(blocked),))
    return _plan_writes(state, now)


def open_requests(state: PlatformState, now: datetime) -> tuple[Request, ...]:
    """What the log asks for and nobody has done yet: what is applied first, in its order, then what is deleted.

    After a crash this is where the successor goes on: a request stays open until it has an outcome or is superseded.
    One that failed is asked for anew, later than others that were not tried; its place is before them all the same.
    """
    deleting = state.deletion_requested_at is not None
    held_back = (state.paused or state.phase is Phase.FAILED) and not deleting
    if state.closed or held_back or _retry_pending(state, now):
        return ()
    requests = [
        Request(
            version=child.request,
            ref=child.ref,
            digest=child.requested_digest,
            uid=child.uid,
            component=child.component,
        )
        for child in state.objects.values()
        if child.request and (state.finalizer or deleting)
    ]
    # One that was to be put on, and is to be taken off by now, stays on for as long as there is something to remove.
    holds = deleting and bool(state.objects) and not _teardown_overdue(state, now)
    if state.finalizer_request and not holds:
        requests.append(Request(version=state.finalizer_request, ref=None))
    if len(requests) < 2:
        return tuple(requests)
    places = {wanted.key: place for place, wanted in enumerate(desired_objects(state))}

    def place(request: Request) -> tuple[int, int]:
        if request.ref is None or not request.digest:
            return len(places), request.version
        return places.get(request.ref.key, len(places)), request.version

    return tuple(sorted(requests, key=place))


def _retry_pending(state: PlatformState, now: datetime) -> bool:
    return state.retry.due_at is not None and now < state.retry.due_at


def _blocked_by(state: PlatformState, now: datetime) -> WaitingOn | None:
    if not is_renderable(state):
        return WaitingOn.SPEC
    if state.missing:
        return WaitingOn.PREREQUISITES
    if state.phase not in _WRITING_PHASES:
        return WaitingOn.RETRY_DUE if _retry_pending(state, now) else WaitingOn.SPEC
    if _retry_pending(state, now) or (state.failure is not None and state.retry.due_at is None):
        return WaitingOn.RETRY_DUE
    return None


def _outdated(state: PlatformState) -> tuple[Decision, ...]:
    """Open requests to apply what is wanted otherwise or not at all, and to delete what is wanted again."""
    if not is_renderable(state):
        return ()
    wanted = {wanted.key: wanted.digest for wanted in desired_objects(state)}
    # Sorted: a state that was stored has its keys in another order than one that was folded from events.
    return tuple(
        RequestSuperseded(ref=child.ref, request=child.request)
        for key, child in sorted(state.objects.items())
        if child.request and child.requested_digest != wanted.get(key, "")
    )


# -- writes --------------------------------------------------------------------------------------------------------


def _plan_writes(state: PlatformState, now: datetime) -> Plan:
    desired = desired_objects(state)
    turn = [name for name in INSTALL_ORDER if _has_its_turn(state, name)]
    requests: list[Decision] = []
    for wanted in desired:
        child = state.objects.get(wanted.key)
        if child is not None and _is_fought_for(state, wanted, child, now):
            continue
        if wanted.component is None or wanted.component in turn:
            retried = state.failure is not None and state.failure.subject == str(wanted.ref)
            requests += _requests_for(wanted, child, retried=retried)
    requests += _prune(state, {wanted.key for wanted in desired}, turn)
    waiting = tuple(
        Waiting(WaitingOn.PREVIOUS_COMPONENT, name) for name in state.components if ComponentName(name) not in turn
    )
    return Plan(tuple(requests), waiting)


def _is_fought_for(state: PlatformState, wanted: DesiredObject, child: ObjectState, now: datetime) -> bool:
    at = correction_at(state, child)
    return at is not None and now < at and child.applied_digest == wanted.digest


def _has_its_turn(state: PlatformState, name: ComponentName) -> bool:
    """A component is written to from the moment it enters Installing or Upgrading until its target changes."""
    component = state.components.get(name)
    if component is None or state.accepted is None:
        return False
    if component.phase in {ComponentPhase.INSTALLING, ComponentPhase.UPGRADING}:
        return True
    return component.phase is ComponentPhase.READY and component.desired_version == state.accepted.versions.get(name)


def _requests_for(wanted: DesiredObject, child: ObjectState | None, *, retried: bool) -> Iterator[Decision]:
    if child is None:
        yield ApplyRequested(ref=wanted.ref, component=wanted.component, digest=wanted.digest, reason="Create")
        return
    if child.request:
        return
    # What is only made, and never changed, is looked at again all the same: what it is like now is how it stays.
    if wanted.create_only and child.applied_digest and child.drift is None:
        return
    if child.applied_digest == wanted.digest and child.drift is None:
        return
    reason = "Drift" if child.drift else "Retry" if retried else "Update" if child.applied_digest else "Create"
    yield ApplyRequested(ref=wanted.ref, component=wanted.component, digest=wanted.digest, reason=reason)


def _prune(state: PlatformState, wanted_keys: set[str], turn: list[ComponentName]) -> Iterator[Decision]:
    """Delete what is not asked for any more, but nothing of a component that still runs its older manifests."""
    for key, child in sorted(state.objects.items()):
        waits_for_turn = child.component in state.components and child.component not in turn
        if key in wanted_keys or waits_for_turn or child.deleting:
            continue
        if child.uid and not child.request:
            yield DeleteRequested(ref=child.ref, component=child.component, uid=child.uid, reason="Pruned")


# -- teardown ------------------------------------------------------------------------------------------------------


def _plan_teardown(state: PlatformState, now: datetime) -> Plan:
    """Reverse order, one component at a time; the finalizer goes when all is gone or the deadline has passed."""
    unwanted = tuple(
        RequestSuperseded(ref=child.ref, request=child.request)
        for _, child in sorted(state.objects.items())
        if child.requested_digest
    )
    if unwanted:
        # Nothing is made any more that would have to be torn down again.
        return Plan(unwanted)
    if not state.finalizer:
        return Plan()
    if state.objects and not _teardown_overdue(state, now):
        if _retry_pending(state, now):
            return Plan(waiting_on=(Waiting(WaitingOn.RETRY_DUE),))
        last = _last_component(state)
        children = [child for _, child in sorted(state.objects.items()) if child.component == last]
        requests = tuple(event for child in children for event in _delete(child))
        return Plan(requests, tuple(Waiting(WaitingOn.TEARDOWN, str(child.ref)) for child in children))
    if state.finalizer_request or _retry_pending(state, now):
        return Plan(waiting_on=(Waiting(WaitingOn.FINALIZER),))
    orphaned = tuple(child.ref for _, child in sorted(state.objects.items()))
    return Plan((FinalizerReleaseRequested(orphaned=orphaned),), (Waiting(WaitingOn.FINALIZER),))


def _delete(child: ObjectState) -> Iterator[Decision]:
    # Without a uid we never saw it: either it is found and gets one, or it is seen to be absent.
    if child.uid and not child.request and not child.deleting:
        yield DeleteRequested(ref=child.ref, component=child.component, uid=child.uid, reason="Teardown")


def _last_component(state: PlatformState) -> ComponentName | None:
    present = {child.component for child in state.objects.values()}
    return next((name for name in reversed(INSTALL_ORDER) if name in present), None)


def _teardown_overdue(state: PlatformState, now: datetime) -> bool:
    deadline = teardown_deadline(state)
    return deadline is not None and now >= deadline
