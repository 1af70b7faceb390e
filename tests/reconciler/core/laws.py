"""What must hold of every pass, whatever was fed in: the invariants S3, S6, S7, S8, S11-S13, S16, S17, S19, S20."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from audit.requests import RequestLedger
from eventstore import events as e
from eventstore.appending import Append, seal
from eventstore.codec import decode, encode
from eventstore.envelope import GENESIS_HASH, RecordedEvent
from eventstore.vocabulary import ComponentPhase, Phase
from projections.platform import evolve, fold, initial
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.deadlines import next_due, teardown_deadline
from reconciler.core.decide import decide
from reconciler.core.desired import desired_objects
from reconciler.core.plan import open_requests, plan
from reconciler.core.preflight import preflight
from reconciler.core.progress import is_complete
from reconciler.core.recovery import configuration_error
from reconciler.core.retry import retry_delay_seconds
from reconciler.core.transitions import TRANSITIONS
from reconciler.shell.states import state_record

_SIGHTS = (
    e.PlatformObserved,
    e.ComponentObserved,
    e.DependencyObserved,
    e.PolicyAdopted,
    e.DriftDetected,
    e.ChildFound,
    e.ChildGone,
)
_PASS = UUID("0195511a-0000-7000-8000-000000000001")
_STARTS_ANEW = (e.RetryReset, e.DeletionRequested, e.ClusterRewound)
#: What must have happened before the counter starts anew for a reason.
_EARNS: dict[str, tuple[type[e.Event], ...]] = {
    "NewGeneration": (e.SpecAccepted, e.SpecQuarantined),
    "Requested": (e.RetryRequested,),
    "DependencyChanged": (e.DependencyObserved,),
    "Recovered": (e.ActionSucceeded, e.FinalizerAdded, e.ComponentObserved),
    "Superseded": (e.RetryScheduled, e.ProbeScheduled),
}


class Laws:
    """Watches one stream from its first event on."""

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id
        self.recorded: list[RecordedEvent] = []
        #: Number of events after each pass.
        self.passes: list[int] = [0]
        self.types: Counter[type[e.Event]] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._requests = RequestLedger()
        self._rewound = False
        self._exhausted = False
        #: Types of events since the counter last started anew.
        self._since_reset: set[type[e.Event]] = set()

    def lose(self, kept: int) -> PlatformState:
        """The newest passes are lost; the state that is left."""
        kept_events = self.passes[min(kept, len(self.passes) - 1)]
        self.recorded = self.recorded[:kept_events]
        self.passes = [count for count in self.passes if count <= kept_events]
        self._begin()
        state = initial(self.stream_id)
        for recorded in self.recorded:
            event = decode(recorded)
            list(self._requests.record(recorded.version, event))
            self._since_reset.add(type(event))
            state = evolve(state, event, recorded.occurred_at)
            # A little too lenient after a loss, which is not what is examined here.
            self._exhausted = state.retry.exhausted
        return state

    # -- one pass --------------------------------------------------------------------------------------------------

    def check_pass(
        self,
        before: PlatformState,
        inputs: Sequence[e.Event],
        concluded: Sequence[e.Decision],
        after: PlatformState,
        now: datetime,
    ) -> None:
        """All that must hold of what was fed in and of what was concluded at `now`."""
        self._check_same_from_the_store(before, inputs, concluded, now)
        state = before
        for event in (*inputs, *concluded):
            state = self._check_event(state, event, now)
        assert state == after, "evolve does not lead to the concluded state"
        if inputs or concluded:
            self.passes.append(len(self.recorded))
        self._check_state(after, now)

    def _check_same_from_the_store(
        self, before: PlatformState, inputs: Sequence[e.Event], concluded: Sequence[e.Decision], now: datetime
    ) -> None:
        """S7: a process that loaded the state decides the same, in the same order and in the same bytes."""
        loaded = _stored_and_loaded(before, now)
        again = conclude(apply_events(loaded, inputs, now), now)[1]
        assert _payloads(again) == _payloads(concluded), "another process would decide otherwise"

    def _check_event(self, before: PlatformState, event: e.Event, now: datetime) -> PlatformState:
        recorded = self._record(event, now)
        assert decode(recorded) == event, "the log holds another event"
        after = evolve(before, event, now)
        self.types[type(event)] += 1
        self._check_order(before, event)
        self._check_requests(before, recorded.version, event, now)
        self._check_retries(before, after, event, now)
        self._check_known_good(before, event)
        if isinstance(event, _SIGHTS):
            as_before = replace(after, version=before.version, updated_at=before.updated_at)
            assert as_before != before, f"S17: recorded, and nothing changed: {event}"
        return after

    def _record(self, event: e.Event, now: datetime) -> RecordedEvent:
        version = len(self.recorded)
        new = encode(
            event,
            event_id=UUID(int=version + 1),
            occurred_at=now,
            causation_id=None,
            correlation_id=_PASS,
            actor="model",
        )
        head = self.recorded[-1].hash if self.recorded else GENESIS_HASH
        (recorded,), _ = seal(
            Append(self.stream_id, version, [new], 0), last_position=version, prev_hash=head, recorded_at=now
        )
        self.recorded.append(recorded)
        return recorded

    def _check_order(self, before: PlatformState, event: e.Event) -> None:
        if isinstance(event, e.PhaseChanged):
            assert event.from_phase == before.phase, f"S8: {event} while {before.phase}"
            assert TRANSITIONS.get((event.from_phase, event.trigger)) == event.to_phase, f"S8: {event}"
            assert before.observed is not None
            assert event.generation == before.observed.generation, event
        elif isinstance(event, e.ComponentPhaseChanged):
            was = before.components.get(event.component)
            assert event.from_phase == (was.phase if was else None), event
        elif isinstance(event, e.ClusterRewound):
            self._rewound = True
        elif isinstance(event, e.PlatformObserved):
            newest = before.observed.generation if before.observed else 0
            assert event.generation >= newest or self._rewound, f"S16: {event.generation} after {newest}"
            self._rewound = False
        elif isinstance(event, e.ConditionsChanged):
            flips = {kind: before.conditions.get(kind, ("", None))[0] for kind in event.statuses}
            assert all(flips[kind] != status for kind, status in event.statuses.items()), f"no flip: {event}"
        if isinstance(event, e.Decision):
            assert not before.closed, f"decided after the end: {event}"

    def _check_requests(self, before: PlatformState, version: int, event: e.Event, now: datetime) -> None:
        faults = list(self._requests.record(version, event))
        assert not faults, f"S6: {faults}"
        deleting = before.deletion_requested_at is not None
        if isinstance(event, e.ApplyRequested | e.DeleteRequested):
            assert before.finalizer, f"S13: {event}"
            assert deleting or not before.paused, f"S11: {event}"
            assert not deleting or isinstance(event, e.DeleteRequested), f"applied while going: {event}"
            child = before.objects.get(event.ref.key)
            assert child is None or not child.request, f"asked for twice: {event}"
        if isinstance(event, e.DeleteRequested):
            assert event.uid, f"S12: {event}"
        if isinstance(event, e.FinalizerReleaseRequested | e.FinalizerReleased):
            deadline = teardown_deadline(before)
            assert deadline is not None, "S13: released without a deletion"
            assert not before.objects or now >= deadline, "S13: released too early"
        if isinstance(event, e.FinalizerReleaseRequested):
            assert set(event.orphaned) == {child.ref for child in before.objects.values()}, event

    def _check_retries(self, before: PlatformState, after: PlatformState, event: e.Event, now: datetime) -> None:
        if isinstance(event, e.RetryScheduled):
            policy = before.policy
            assert event.attempt == before.retry.attempt + 1 <= policy.retries_max, f"S19: {event}"
            asked = before.failure.retry_after_seconds if before.failure else 0.0
            wait = max(retry_delay_seconds(policy, event.attempt, before.stream_id), asked)
            assert event.due_at == now + timedelta(seconds=wait), f"S19: {event} at {now}"
        if isinstance(event, e.RetriesExhausted):
            assert not self._exhausted, "S19: spent twice"
            assert event.attempts >= before.policy.retries_max, f"S19: {event}"
            self._exhausted = True
        if after.retry.attempt < before.retry.attempt:
            assert isinstance(event, _STARTS_ANEW), f"S19: {event} starts the counter anew"
        if isinstance(event, e.RetryReset):
            assert self._since_reset & set(_EARNS[event.reason]), f"S19: reset because of {event.reason}"
        if isinstance(event, (*_STARTS_ANEW, e.PolicyAdopted)):
            # With another policy there may be more retries to spend.
            self._exhausted = False
        if isinstance(event, e.RetryReset):
            self._since_reset.clear()
        self._since_reset.add(type(event))

    def _check_known_good(self, before: PlatformState, event: e.Event) -> None:
        if isinstance(event, e.RollbackStarted):
            assert before.known_good is not None, "S20"
            assert before.known_good.spec.versions == event.to_versions, f"S20: {event}"
        if not isinstance(event, e.LastKnownGoodRecorded):
            return
        assert before.phase is Phase.READY, f"S20: recorded while {before.phase}"
        assert is_complete(before), "S20: recorded before all was verified"
        assert before.known_good is None or before.known_good.spec.digest != event.digest, "S20: recorded twice"
        assert all(event.manifests.values()), "S20: an object without a manifest"
        for wanted in desired_objects(before):
            child = before.objects[wanted.key]
            assert event.manifests[wanted.key] == child.applied_digest, f"S20: {wanted.ref}"
            assert wanted.create_only or child.applied_digest == wanted.digest, f"S20: {wanted.ref}"

    # -- the state it comes to -------------------------------------------------------------------------------------

    def _check_state(self, state: PlatformState, now: datetime) -> None:
        before = msgspec.json.encode(state)
        assert decide(state, now) == (), "decide: asked twice"
        assert plan(state, now).requests == (), "plan: asked twice"
        assert conclude(state, now) == (state, ()), "asked twice"
        assert msgspec.json.encode(state) == before, "decide changed its input"
        assert _stored_and_loaded(state, now) == state, "S3: stored and loaded"
        self._check_never_stuck(state, now)

    def check_fold(self, state: PlatformState, now: datetime) -> None:
        """S3: the fold of what the log holds is the state, in the same bytes."""
        folded = fold(initial(self.stream_id), self.recorded)
        assert folded == state
        assert state_record(folded, now).state == state_record(state, now).state

    def _check_never_stuck(self, state: PlatformState, now: datetime) -> None:
        """Whatever it waits for has an instant, something that wakes it, or a person who is told."""
        if state.closed or state.phase is None:
            return
        wakes = open_requests(state, now) or next_due(state, now) or state.missing
        person = state.paused or state.accepted is None or configuration_error(state)
        if state.accepted is not None:
            wakes = wakes or preflight(state).refused
        if state.deletion_requested_at is not None:
            # Without our finalizer nothing of ours holds it up: it goes when the others are done.
            assert wakes or not state.finalizer, f"stuck while going: {_told(state)}"
            return
        settled = state.phase is Phase.READY and is_complete(state) and state.failure is None and state.finalizer
        assert wakes or person or settled, f"stuck: {_told(state)}"
        if state.phase is Phase.FAILED and not person:
            assert next_due(state, now), f"Failed, and never tried again: {_told(state)}"
        if state.phase is Phase.READY and not person and not state.missing:
            failed = [name for name, one in state.components.items() if one.phase is ComponentPhase.FAILED]
            assert not failed, f"Ready with {failed} failed"


def _told(state: PlatformState) -> str:
    return f"{state.phase} ({state.phase_reason}), {state.failure}, {state.retry}, {state.components}"


def _stored_and_loaded(state: PlatformState, now: datetime) -> PlatformState:
    return msgspec.json.decode(state_record(state, now).state, type=PlatformState)


def _payloads(events: Sequence[e.Event]) -> list[tuple[str, bytes]]:
    return [(type(event).__name__, msgspec.json.encode(event, order="sorted")) for event in events]
