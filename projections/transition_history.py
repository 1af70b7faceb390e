"""Read model: which phase changes a platform went through, why, and how long each phase lasted."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from msgspec.structs import replace
from sqlalchemy import Table

from eventstore.envelope import RecordedEvent
from eventstore.events import Event, PhaseChanged, PlatformObserved
from projections import tables
from projections.contract import Memo, Row


class TransitionRow(Row, frozen=True, kw_only=True):
    """One edge of the state transition diagram, taken."""

    table: ClassVar[Table] = tables.transition_history
    #: The resource's uid.
    stream_id: str
    #: Stream version of the event.
    sequence: int
    position: int
    namespace: str
    name: str
    #: None: the platform was created.
    from_phase: str | None
    to_phase: str
    trigger: str
    reason: str
    message: str
    generation: int
    actor: str
    occurred_at: datetime
    recorded_at: datetime
    #: Since the transition before it; None for the first.
    took_seconds: float | None
    event_id: str
    #: Hex of the event's hash: what ties this row to the log.
    event_hash: str


class TransitionMemo(Memo, frozen=True, kw_only=True, omit_defaults=True):
    """When the stream's newest transition happened."""

    last_at: datetime | None = None


class TransitionHistory:
    """One row per `PhaseChanged`; they stay when the platform is deleted."""

    name = "transition_history"
    version = 1
    tables = (tables.transition_history,)
    memo_type = TransitionMemo

    def apply(
        self, memo: TransitionMemo, recorded: RecordedEvent, event: Event
    ) -> tuple[TransitionMemo, Sequence[TransitionRow]]:
        """A row for a transition, nothing for anything else."""
        if isinstance(event, PlatformObserved):
            return replace(memo, namespace=event.namespace, name=event.name), ()
        if not isinstance(event, PhaseChanged):
            return memo, ()
        at = recorded.occurred_at
        row = TransitionRow(
            stream_id=recorded.stream_id,
            sequence=recorded.version,
            position=recorded.position,
            namespace=memo.namespace,
            name=memo.name,
            from_phase=event.from_phase,
            to_phase=event.to_phase,
            trigger=event.trigger,
            reason=event.reason,
            message=event.message,
            generation=event.generation,
            actor=recorded.actor,
            occurred_at=at,
            recorded_at=recorded.recorded_at,
            took_seconds=(at - memo.last_at).total_seconds() if memo.last_at else None,
            event_id=str(recorded.event_id),
            event_hash=recorded.hash.hex(),
        )
        return replace(memo, last_at=at), (row,)
