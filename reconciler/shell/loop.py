"""The reconcile pass: observe, append, execute, append. The only place where the four values of the flow meet.

    sighting --observe--> events --conclude--> events --append--> log --open_requests--> executor --outcomes--> events

One append carries everything that was seen and concluded at one instant. No write is sent before the event that asks
for it is committed; what came of it is appended with the next round.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from eventstore.codec import encode
from eventstore.envelope import NewEvent
from eventstore.errors import (
    CorruptEventError,
    StaleEpochError,
    StoreUnavailableError,
    StreamConflictError,
    UnknownEventError,
)
from eventstore.events import ApplyRequested, Decision, Event, Outcome, PlatformObserved
from eventstore.log import EventLog
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.deadlines import next_due
from reconciler.core.desired import desired_contents
from reconciler.core.observe import observe
from reconciler.core.plan import open_requests
from reconciler.core.preflight import preflight
from reconciler.core.status import quarantined_status
from reconciler.shell.cache import ObjectCache, PlatformKey
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject
from reconciler.shell.executor import Executor
from reconciler.shell.sight import Sight
from reconciler.shell.states import Known, States
from reconciler.shell.status_writer import StatusWriter

_log = structlog.get_logger(__name__)

#: Rounds of one pass: each is an append and what it asked for. A pass that needs more gives others their turn first.
ROUNDS_MAX = 12
#: How often a pass starts again because another process appended to the stream in between.
CONFLICTS_MAX = 5
#: How soon a pass is made again that could carry out nothing: asking at once would be no use.
UNABLE_SECONDS = 1.0


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...


class Announce(Protocol):
    """Told of every event that was appended: metrics and logs."""

    def __call__(self, state: PlatformState, events: Iterable[Event], first_version: int) -> None: ...


class Pass(msgspec.Struct, kw_only=True):
    """What one reconcile pass carries from round to round."""

    correlation_id: UUID
    epoch: int
    #: Stream version of a request -> id of the event that asked: the cause of its outcome.
    request_ids: dict[int, UUID]


class Result(msgspec.Struct, frozen=True):
    """What a pass leaves behind."""

    #: Look again after so many seconds, though nothing may have changed; None: wait for a change or a deadline.
    again_after_seconds: float | None = None


class Reconciler:
    """Brings one platform a step further each time it is asked; asked again with nothing changed, it does nothing."""

    def __init__(
        self,
        *,
        log: EventLog,
        states: States,
        sight: Sight,
        executor: Executor,
        cluster: Cluster,
        cache: ObjectCache,
        clock: Clock,
        new_id: Callable[[datetime], UUID],
        epoch: Callable[[], int | None],
        announce: Announce,
    ) -> None:
        self._log, self._states, self._sight, self._executor = log, states, sight, executor
        self._status = StatusWriter(cluster, cache, clock)
        self._clock, self._new_id = clock, new_id
        self._epoch, self._announce = epoch, announce
        #: Streams by platform name, those that are not closed.
        self._open_streams: dict[PlatformKey, set[str]] = {}
        self._quarantined: dict[str, str] = {}
        #: Streams that were looked at after their recorded deadline, and had nothing to say -> version they are at.
        self._served: dict[str, int] = {}

    def adopt_open_streams(self) -> list[PlatformKey]:
        """Learn from the log which platforms were left open; their keys. Called when leadership begins."""
        self._open_streams.clear()
        for stored in self._log.list_states():
            key = (stored.record.namespace, stored.record.name)
            self._open_streams.setdefault(key, set()).add(stored.stream_id)
            self._states.forget(stored.stream_id)
        return list(self._open_streams)

    def keys_due(self, stream_ids: Iterable[str]) -> list[PlatformKey]:
        """The platforms of streams whose recorded deadline has come, without those for which nothing follows from it.

        The deadline stays in the log's projection until something is appended: without this, a platform that waits
        for something else would be looked at with every tick.
        """
        wanted = {stream_id for stream_id in stream_ids if not self._is_served(stream_id)}
        # A copy: the workers add and remove while this goes on.
        return [key for key, streams in list(self._open_streams.items()) if streams & wanted]

    def _is_served(self, stream_id: str) -> bool:
        if stream_id not in self._served:
            return stream_id in self._quarantined
        return self.is_served(stream_id, self._states.load(stream_id).state.version)

    def is_served(self, stream_id: str, version: int) -> bool:
        """Whether nothing follows from the recorded deadline of a stream that is at this version."""
        return self._served.get(stream_id) == version or stream_id in self._quarantined

    def open_keys(self) -> list[PlatformKey]:
        """Platforms with a stream that is not closed."""
        return list(self._open_streams)

    def is_new(self, key: PlatformKey) -> bool:
        """Whether nothing was begun for a platform of this name."""
        return key not in self._open_streams

    def open_stream_ids(self) -> list[str]:
        """Streams that are not closed."""
        return [stream_id for streams in list(self._open_streams.values()) for stream_id in list(streams)]

    @property
    def quarantined(self) -> dict[str, str]:
        """Stream -> why it is left alone: this build cannot read its events."""
        return dict(self._quarantined)

    def reconcile(self, key: PlatformKey) -> Result:
        """One pass over every stream of a platform name: usually one, two while a name is being used again.

        Raises:
            StoreUnavailableError: what was written to the cluster since the last append is still asked for, and written
                again: the same content once more.
            ClusterError: what is not watched could not be read.
        """
        platform = self._sight.resource(*key)
        streams = set(self._open_streams.get(key, ()))
        if platform is not None:
            streams.add(platform["metadata"]["uid"])
        waits: list[float] = []
        failed: Exception | None = None
        for stream_id in sorted(streams):
            try:
                result = self._reconcile_stream(key, stream_id)
            except Exception as error:  # different platforms under one name: none may hold up the other
                failed = failed or error
            else:
                waits += [] if result.again_after_seconds is None else [result.again_after_seconds]
        if failed is not None:
            raise failed
        return Result(min(waits, default=None))

    def _reconcile_stream(self, key: PlatformKey, stream_id: str) -> Result:
        for _ in range(CONFLICTS_MAX):
            epoch = self._epoch()
            if epoch is None:
                return Result()
            try:
                return self._run_pass(key, stream_id, self._resource(key, stream_id), epoch)
            except StreamConflictError as error:
                _log.info("stream_conflict", platform="/".join(key), expected=error.expected_version)
            except StaleEpochError:
                _log.warning("stale_epoch", platform="/".join(key), epoch=epoch)
                return Result()
            except (UnknownEventError, CorruptEventError) as error:
                return self._quarantine(key, stream_id, error)
        return Result(again_after_seconds=1.0)

    def _run_pass(self, key: PlatformKey, stream_id: str, platform: KubernetesObject | None, epoch: int) -> Result:
        this = Pass(correlation_id=self._new_id(self._clock.now()), epoch=epoch, request_ids={})
        outcomes: tuple[Outcome, ...] = ()
        known = self._states.load(stream_id)
        for _ in range(ROUNDS_MAX):
            now = self._clock.now()
            known = self._advance(this, known, platform, outcomes, now)
            requests = open_requests(known.state, now)
            if not requests or platform is None:
                break
            may_act = partial(self._may_act, epoch)
            outcomes = tuple(self._executor.execute(known.state, requests, platform, may_act))
            if not outcomes:
                # The lease is somebody else's, and our clock does not know yet; or what we see of the resource is old.
                return Result(again_after_seconds=UNABLE_SECONDS)
            platform = self._resource(key, stream_id)
        else:
            # What came of the last writes is recorded before others get their turn.
            now = self._clock.now()
            known = self._advance(this, known, platform, outcomes, now)
            requests = open_requests(known.state, now)
        self._index(key, known.state)
        self._note_served(known.state, now)
        details_due: float | None = None
        if platform is not None and not known.state.closed and self._epoch() == epoch:
            details_due = self._status.write(known, platform)
            if _is_news(platform, self._resource(key, stream_id)):
                return Result(again_after_seconds=0.0)
        again = _again_after(known.state, self._clock.now(), unfinished=bool(requests))
        return Result(min((wait for wait in (again, details_due) if wait is not None), default=None))

    def _may_act(self, epoch: int, *, surely: bool = False) -> bool:
        """Whether the lease still counts: by our own clock, or (`surely`) as its row in the log says now."""
        if self._epoch() != epoch or not surely:
            return self._epoch() == epoch
        try:
            lease = self._log.lease.current()
        except StoreUnavailableError:
            # What was done before is still to be recorded.
            return False
        return lease is not None and lease.epoch == epoch

    def _resource(self, key: PlatformKey, stream_id: str) -> KubernetesObject | None:
        # A resource of the same name with another uid is another platform: for this stream the resource is gone.
        found = self._sight.resource(*key)
        return found if found is not None and found["metadata"]["uid"] == stream_id else None

    def _advance(
        self,
        this: Pass,
        known: Known,
        platform: KubernetesObject | None,
        outcomes: tuple[Outcome, ...],
        now: datetime,
    ) -> Known:
        """Fold in outcomes and what is seen, conclude, and append it all; the state as the log now has it."""
        after = apply_events(known.state, outcomes, now)
        try:
            sighting = self._sight.look(after, platform)
        except ClusterError:
            # What was done is recorded though nothing can be seen.
            self._record(this, known, outcomes, now)
            raise
        return self._record(this, known, (*outcomes, *observe(after, sighting)), now)

    def _record(self, this: Pass, known: Known, inputs: tuple[Event, ...], now: datetime) -> Known:
        after, concluded = conclude(apply_events(known.state, inputs, now), now)
        events: tuple[Event, ...] = (*inputs, *concluded)
        if not events:
            return known
        return self._append(this, known, after, events, now)

    def _append(
        self,
        this: Pass,
        known: Known,
        after: PlatformState,
        events: tuple[Event, ...],
        now: datetime,
    ) -> Known:
        envelopes = self._envelopes(this, events, now)
        first = known.state.version + 1
        appended = self._states.append(
            known, after, envelopes, now=now, epoch=this.epoch, contents=_contents(after, events)
        )
        this.request_ids.update({first + index: new.event_id for index, new in enumerate(envelopes)})
        self._announce(after, events, first)
        return appended

    def _envelopes(self, this: Pass, events: tuple[Event, ...], now: datetime) -> list[NewEvent]:
        """Each event with its id and its cause: an outcome's is the request, a decision's what was seen with it."""
        ids = [self._new_id(now) for _ in events]
        seen = next((id_ for id_, event in zip(ids, events, strict=True) if not isinstance(event, Decision)), None)

        def cause(event: Event) -> UUID | None:
            if isinstance(event, Outcome):
                return this.request_ids.get(event.request)
            return seen if isinstance(event, Decision) else None

        return [
            encode(
                event,
                event_id=id_,
                occurred_at=now,
                causation_id=cause(event),
                correlation_id=this.correlation_id,
                actor=event.field_manager if isinstance(event, PlatformObserved) else f"stackledger/epoch-{this.epoch}",
            )
            for id_, event in zip(ids, events, strict=True)
        ]

    def _quarantine(self, key: PlatformKey, stream_id: str, error: Exception) -> Result:
        """Leave this one stream alone: acting on half of what happened is worse than not acting."""
        self._quarantined[stream_id] = str(error)
        _log.error("stream_quarantined", platform="/".join(key), stream=stream_id, why=str(error))
        platform = self._resource(key, stream_id)
        if platform is not None:
            shown, generation = platform.get("status") or {}, int(platform["metadata"].get("generation", 1))
            wanted = quarantined_status(shown, generation, str(error), self._clock.now())
            if wanted != shown:
                self._status.apply(platform, wanted)
        return Result()

    def _note_served(self, state: PlatformState, now: datetime) -> None:
        recorded = next_due(state, state.updated_at) if state.updated_at else None
        if recorded is not None and recorded <= now:
            self._served[state.stream_id] = state.version
        else:
            self._served.pop(state.stream_id, None)

    def _index(self, key: PlatformKey, state: PlatformState) -> None:
        streams = self._open_streams.setdefault(key, set())
        if state.closed or state.version == 0:
            streams.discard(state.stream_id)
            self._sight.forget(state)
            self._status.forget(state.stream_id)
        else:
            streams.add(state.stream_id)
        if not streams:
            self._open_streams.pop(key, None)


def _is_news(looked_at: KubernetesObject, now: KubernetesObject | None) -> bool:
    """Whether the resource is another one than the pass looked at.

    The answer to our own write of the status holds what others wrote just before it. The cache then knows it already,
    and the watch, which comes later, has nothing new to tell: only this remembers that nobody has looked at it yet.
    """
    if now is None:
        return True
    before, after = ({**found["metadata"], "resourceVersion": ""} for found in (looked_at, now))
    return bool(before != after)


def _again_after(state: PlatformState, now: datetime, *, unfinished: bool) -> float | None:
    """Seconds until the next look: at a deadline, or at what no watch tells about; None if only a change matters."""
    if state.closed:
        return None
    if unfinished:
        return 0.0
    due = next_due(state, now)
    waits = [(due - now).total_seconds()] if due is not None else []
    if state.missing or (state.accepted is not None and preflight(state).refused):
        # Secrets are not watched: only another look tells that one was mended.
        waits.append(state.policy.prerequisite_poll_seconds)
    return min(waits, default=None)


def _contents(state: PlatformState, events: Iterable[Event]) -> dict[str, bytes]:
    """The manifests that the events ask for, for the content store."""
    wanted = {event.digest for event in events if isinstance(event, ApplyRequested)}
    if not wanted:
        return {}
    contents = desired_contents(state)
    return {digest: contents[digest] for digest in wanted if digest in contents}
