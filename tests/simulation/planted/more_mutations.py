"""More mistakes planted on purpose: one for each checker that the first ones leave unproved.

A mutation is a context manager; while it is open the code is wrong, and its docstring says how.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from eventstore import appending, memory
from eventstore.envelope import GENESIS_HASH
from eventstore.events import ActionSucceeded
from eventstore.hashing import event_hash
from reconciler.core import conclude, decide, observe, plan, status
from reconciler.shell import loop, status_writer
from reconciler.shell.executor import Executor
from reconciler.shell.leadership import Leadership
from reconciler.shell.loop import Reconciler
from reconciler.shell.resources import resource_for
from simulator.faults import FaultKind
from tests.simulation.planted.mutations import planted

# -- the ledger ----------------------------------------------------------------------------------------------------


@planted("S1", "create")
def a_version_is_left_out() -> Iterator[None]:
    """Each append begins one version too late."""

    def skipping(append: Any, **fields: Any) -> Any:
        late = replace(append, expected_version=append.expected_version + 1) if append.expected_version else append
        return appending.seal(late, **fields)

    with patch.object(memory, "seal", skipping):
        yield


@planted("S2", "create")
def hash_of_the_event_alone() -> Iterator[None]:
    """The hash does not depend on the event before."""
    with patch.object(appending, "event_hash", lambda recorded, _before: event_hash(recorded, GENESIS_HASH)):
        yield


@planted("S6", "create")
def outcome_told_twice() -> Iterator[None]:
    """What came of a request is recorded two times."""
    execute = Executor.execute

    def doubled(self: Executor, *arguments: Any) -> Any:
        for outcome in execute(self, *arguments):
            yield outcome
            yield outcome

    with patch.object(Executor, "execute", doubled):
        yield


@planted("E2 E1", "scale")
def prune_forgotten() -> Iterator[None]:
    """What is not wanted any more is asked to be deleted, and nobody does it."""
    requests = plan.open_requests

    def without(state: Any, now: Any) -> Any:
        gone = state.deletion_requested_at is not None
        return tuple(one for one in requests(state, now) if one.ref is None or one.digest or gone)

    with patch.object(loop, "open_requests", without):
        yield


# -- decisions and passes ------------------------------------------------------------------------------------------


@planted("S18", "edit")
def a_pass_that_crashes() -> Iterator[None]:
    """An edit is more than the pass was written for."""

    def fragile(state: Any, now: Any) -> Any:
        if state.observed is not None and state.observed.generation > 1:
            raise ZeroDivisionError
        return conclude.conclude(state, now)

    with patch.object(loop, "conclude", fragile):
        yield


@planted("E3 E1", "edit")
def generation_said_to_be_judged() -> Iterator[None]:
    """A later generation is not judged, and the conditions say that it was."""
    judged, condition = decide._decide_spec, status._condition

    def once(state: Any) -> Any:
        return () if state.accepted is not None else judged(state)

    def pretending(state: Any, one: Any) -> Any:
        return {**condition(state, one), "observedGeneration": state.observed.generation}

    with patch.object(decide, "_decide_spec", once), patch.object(status, "_condition", pretending):
        yield


@planted("E4 E2", "create", FaultKind.DELETE)
def stream_left_open() -> Iterator[None]:
    """A resource that is gone is not recorded as gone, and nobody waits for it."""
    look, again = observe.observe, loop._again_after

    def blind(state: Any, sighting: Any) -> Any:
        return () if sighting.platform is None else look(state, sighting)

    def patient(state: Any, now: Any, *, unfinished: bool) -> Any:
        return again(state, now, unfinished=False)

    with patch.object(loop, "observe", blind), patch.object(loop, "_again_after", patient):
        yield


@planted("E7", "pause")
def a_pause_without_end() -> Iterator[None]:
    """Once paused, a platform stays so."""
    pause = decide._decide_pause

    def sticky(state: Any) -> Any:
        return () if state.paused else pause(state)

    with patch.object(decide, "_decide_pause", sticky):
        yield


# -- processes -----------------------------------------------------------------------------------------------------


@planted("E5", "edit", FaultKind.STEAL)
def lease_asked_for_once() -> Iterator[None]:
    """Whoever was told that another one has the lease never asks again."""
    step = Leadership.step

    def resigned(self: Leadership) -> None:
        if not self._on_standby:
            step(self)

    with patch.object(Leadership, "step", resigned):
        yield


@planted("S10", "edit", FaultKind.USURP)
def lease_never_asked_for_again() -> Iterator[None]:
    """Before a write that could undo a successor's, a process trusts its own clock."""
    may_act = Reconciler._may_act

    def trusting(self: Reconciler, epoch: int, *, surely: bool = False) -> bool:
        return may_act(self, epoch)

    with patch.object(Reconciler, "_may_act", trusting):
        yield


# -- writes --------------------------------------------------------------------------------------------------------


@planted("F34", "create")
def service_said_to_be_there() -> Iterator[None]:
    """A Service is reported as applied, and was not sent; that it is not there is not noticed."""
    apply = Executor._apply

    def hopeful(self: Executor, state: Any, request: Any, ref: Any, platform: Any, may_act: Any) -> Any:
        if ref.kind == "Service":
            yield ActionSucceeded(request=request.version, ref=ref, uid="none", changed=True)
        else:
            yield from apply(self, state, request, ref, platform, may_act)

    with (
        patch.object(Executor, "_apply", hopeful),
        patch.object(observe, "_observe_absence", lambda _state, _child: iter(())),
    ):
        yield


@planted("S5 S12", "scale")
def delete_without_uid() -> Iterator[None]:
    """Objects are deleted whatever their uid is."""

    def careless(self: Executor, state: Any, request: Any, ref: Any) -> Any:
        resource = resource_for(ref.api_version, ref.kind)
        with suppress(Exception):
            self._cluster.delete(resource, state.namespace, ref.name, uid="")
        return ActionSucceeded(request=request.version, ref=ref, uid=request.uid)

    with patch.object(Executor, "_delete", careless):
        yield


@planted("E8", "recreate", FaultKind.RESTORED)
def finalizer_put_on_what_is_gone() -> Iterator[None]:
    """That the resource is gone is taken for success, and it is still seen without the finalizer."""
    with patch.object(Executor, "_note_gone", lambda *_arguments, **_fields: None):
        yield


# -- telling -------------------------------------------------------------------------------------------------------


@planted("S4", "create")
def status_without_its_history() -> Iterator[None]:
    """A status leaves out what the ledger says of the past."""
    build = status.status

    def forgetful(state: Any, head: str = "") -> Any:
        return {key: value for key, value in build(state, head).items() if key != "history"}

    with patch.object(status_writer, "status", forgetful):
        yield


@planted("S21", "create")
def status_ahead_of_the_ledger() -> Iterator[None]:
    """A status names an event that is yet to come."""
    build = status.status

    def ahead(state: Any, head: str = "") -> Any:
        document = build(state, head)
        if "ledger" in document:
            document["ledger"] = {**document["ledger"], "sequence": document["ledger"]["sequence"] + 1}
        return document

    with patch.object(status_writer, "status", ahead):
        yield
