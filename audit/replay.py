"""Re-deciding a recorded stream: the inputs as they were recorded, the decisions made again by this build.

A pass of the reconciler appends what it saw and what it concluded together. So a stream is a row of batches (events
that share correlation id and instant), each with inputs (observations, outcomes) first and decisions after them. A
replay folds the inputs, asks the pure core for its decisions at the recorded instant, and compares them with the
recorded ones. It then goes on from the *recorded* state, and stops at the first batch that differs.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from audit.verification import state_digest
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent, StoredState
from eventstore.events import Decision, Event
from projections.platform import evolve, initial
from projections.state import FOLD_VERSION, PlatformState
from reconciler.core.conclude import NotConvergingError, conclude
from reconciler.core.transitions import IllegalTransitionError

#: The core as a function, so that two builds (or a planted divergence) can be compared.
Conclude = Callable[[PlatformState, datetime], tuple[PlatformState, tuple[Decision, ...]]]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass appended: inputs, then the decisions drawn from them."""

    first_version: int
    occurred_at: datetime
    inputs: tuple[Event, ...]
    decisions: tuple[Decision, ...]

    @property
    def last_version(self) -> int:
        """Version of the batch's last event."""
        return self.first_version + len(self.inputs) + len(self.decisions) - 1


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where this build decides otherwise; None stands for "nothing (more)"."""

    sequence: int
    at: datetime
    recorded: Decision | None
    decided: Decision | None
    #: This build could not decide at all, and why.
    error: str = ""


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found."""

    #: Events that were replayed without a difference.
    events: int
    #: Passes in which the core was asked.
    passes: int
    #: Decisions that came out the same.
    decisions: int
    divergence: Divergence | None
    #: Digest of the state after the last replayed event.
    state_digest: str
    #: None: there is no stored state of this version and fold to compare with.
    equals_stored: bool | None

    @property
    def ok(self) -> bool:
        """Nothing differs."""
        return self.divergence is None and self.equals_stored is not False


def batches(events: Sequence[RecordedEvent]) -> Iterator[Batch]:
    """The stream's passes, in order."""
    for _, group in groupby(events, key=lambda event: (event.correlation_id, event.occurred_at)):
        yield from _split(list(group))


def _split(group: list[RecordedEvent]) -> Iterator[Batch]:
    # One pass may append more than once: an input after a decision begins a new batch.
    inputs: list[Event] = []
    decisions: list[Decision] = []
    first = group[0].version
    for recorded in group:
        event = decode(recorded)
        if isinstance(event, Decision):
            decisions.append(event)
            continue
        if decisions:
            yield _batch(first, group[0].occurred_at, inputs, decisions)
            first, inputs, decisions = recorded.version, [], []
        inputs.append(event)
    yield _batch(first, group[0].occurred_at, inputs, decisions)


def _batch(first: int, at: datetime, inputs: list[Event], decisions: list[Decision]) -> Batch:
    return Batch(first_version=first, occurred_at=at, inputs=tuple(inputs), decisions=tuple(decisions))


def replay(
    events: Sequence[RecordedEvent],
    *,
    to_version: int | None = None,
    stored: StoredState | None = None,
    decide_again: Conclude = conclude,
) -> ReplayReport:
    """Replay a whole stream, or the passes that begin up to and with `to_version`.

    Raises:
        UnknownEventError, CorruptEventError: an event cannot be read.
    """
    state = initial(events[0].stream_id) if events else initial("")
    passes = matching = 0
    divergence: Divergence | None = None
    for batch in batches(events):
        if to_version is not None and batch.first_version > to_version:
            break
        passes += 1
        for event in batch.inputs:
            state = evolve(state, event, batch.occurred_at)
        divergence = _decide_again(batch, state, decide_again)
        if divergence is not None:
            matching += divergence.sequence - batch.first_version - len(batch.inputs)
            break
        for decision in batch.decisions:
            state = evolve(state, decision, batch.occurred_at)
        matching += len(batch.decisions)
    return ReplayReport(
        events=divergence.sequence - 1 if divergence else state.version,
        passes=passes,
        decisions=matching,
        divergence=divergence,
        state_digest=state_digest(state),
        equals_stored=None if divergence else _equals_stored(state, stored),
    )


def _decide_again(batch: Batch, state: PlatformState, decide_again: Conclude) -> Divergence | None:
    try:
        _, decided = decide_again(state, batch.occurred_at)
    except (NotConvergingError, IllegalTransitionError) as error:
        recorded = batch.decisions[0] if batch.decisions else None
        sequence = batch.first_version + len(batch.inputs)
        return Divergence(sequence=sequence, at=batch.occurred_at, recorded=recorded, decided=None, error=str(error))
    return _compare(batch, decided)


def _compare(batch: Batch, decided: tuple[Decision, ...]) -> Divergence | None:
    first_decision = batch.first_version + len(batch.inputs)
    for index in range(max(len(batch.decisions), len(decided))):
        recorded = batch.decisions[index] if index < len(batch.decisions) else None
        again = decided[index] if index < len(decided) else None
        # Equality of structs would take 1 and 1.0 for the same; the log would not.
        if type(recorded) is not type(again) or _payload(recorded) != _payload(again):
            sequence = first_decision + index
            return Divergence(sequence=sequence, at=batch.occurred_at, recorded=recorded, decided=again)
    return None


def _payload(event: Event | None) -> bytes:
    return msgspec.json.encode(event, order="sorted")


def _equals_stored(state: PlatformState, stored: StoredState | None) -> bool | None:
    if stored is None or stored.version != state.version or stored.record.fold_version != FOLD_VERSION:
        return None
    try:
        found = msgspec.json.decode(stored.record.state, type=PlatformState)
    except msgspec.MsgspecError:
        return False
    return found == state
