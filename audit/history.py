"""A platform's history as rows: its transitions, a component's, or every event."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from audit.wording import component_of, summary
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import StoreError
from eventstore.events import (
    ApplyRequested,
    ComponentPhaseChanged,
    DeleteRequested,
    Event,
    Outcome,
    PhaseChanged,
    PlatformObserved,
)
from eventstore.vocabulary import Trigger

#: Phases in which the operator works towards something: how long they took is worth a column.
_WORKING_PHASES = frozenset({"Pending", "Installing", "Upgrading"})
#: Transitions that answer a change of the resource: whoever changed it is who they are "by".
_SPEC_TRIGGERS = frozenset(
    {Trigger.CREATE, Trigger.VERSION_CHANGE, Trigger.MINOR_UPDATE, Trigger.RETRY_FIX, Trigger.VALIDATION_ERROR}
)


#: The end of a platform is no phase, yet it belongs to its history.
ENDINGS = {
    "DeletionRequested": "deletion requested",
    "FinalizerReleased": "deleted",
    "PlatformGone": "gone",
}


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event as a line of the history. Keys of the JSON output."""

    sequence: int
    time: datetime
    #: Newest generation seen by then.
    generation: int
    type: str
    #: Phase before and after; both empty unless a phase changed.
    from_phase: str = msgspec.field(default="", name="from")
    to_phase: str = msgspec.field(default="", name="to")
    component: str = ""
    reason: str = ""
    message: str = ""
    #: The event in one line.
    summary: str
    by: str
    #: Time spent in the phase that was left, if it was one of work.
    took_seconds: float | None = None
    #: Hex.
    hash: str
    correlation_id: str
    causation_id: str | None = None
    payload: dict[str, Any]
    #: The event cannot be read by this build, and why.
    unreadable: str = ""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to show; every condition that is set must hold."""

    #: Every event, not only transitions.
    every_event: bool = False
    component: str = ""
    #: A transition's reason or an event's type, ignoring case.
    reason: str = ""
    by: str = ""
    since: datetime | None = None
    until: datetime | None = None


class RowBuilder:
    """Turns a stream's events into rows, one after another; kept between polls when a stream is followed."""

    def __init__(self) -> None:
        self._generation = 0
        self._phase_since: dict[str, datetime] = {}
        self._requests: dict[int, str] = {}
        self._editors: dict[UUID, str] = {}

    def rows(self, events: Iterable[RecordedEvent]) -> list[Row]:
        """A row for each event, in order."""
        return [self._row(event) for event in events]

    def _row(self, recorded: RecordedEvent) -> Row:
        try:
            event = decode(recorded)
        except StoreError as error:
            return _row(recorded, self._generation, summary=f"unreadable: {error}", unreadable=str(error))
        self._remember(recorded, event)
        component = component_of(event)
        if isinstance(event, Outcome):
            component = component or self._requests.get(event.request, "")
        changes: dict[str, Any] = {}
        if isinstance(event, PhaseChanged | ComponentPhaseChanged):
            changes = self._phase_fields(recorded, event, component)
        reason = str(getattr(event, "reason", ""))
        message = str(getattr(event, "message", ""))
        return _row(
            recorded,
            self._generation,
            component=component,
            reason=reason,
            message=message,
            summary=summary(event),
            payload=msgspec.to_builtins(event),
            **changes,
        )

    def _remember(self, recorded: RecordedEvent, event: Event) -> None:
        if isinstance(event, PlatformObserved):
            self._generation = event.generation
            self._editors[recorded.correlation_id] = event.field_manager
        if isinstance(event, ApplyRequested | DeleteRequested):
            self._requests[recorded.version] = component_of(event)

    def _phase_fields(
        self, recorded: RecordedEvent, event: PhaseChanged | ComponentPhaseChanged, component: str
    ) -> dict[str, Any]:
        before = str(event.from_phase or "")
        since = self._phase_since.get(component)
        self._phase_since[component] = recorded.occurred_at
        took = (recorded.occurred_at - since).total_seconds() if since and before in _WORKING_PHASES else None
        fields: dict[str, Any] = {"from_phase": before, "to_phase": str(event.to_phase), "took_seconds": took}
        if isinstance(event, PhaseChanged) and event.trigger in _SPEC_TRIGGERS:
            fields["by"] = self._editors.get(recorded.correlation_id) or recorded.actor
        return fields


def _row(recorded: RecordedEvent, generation: int, **fields: Any) -> Row:
    return Row(
        **{
            "sequence": recorded.version,
            "time": recorded.occurred_at,
            "generation": generation,
            "type": recorded.type,
            "by": recorded.actor,
            "hash": recorded.hash.hex(),
            "correlation_id": str(recorded.correlation_id),
            "causation_id": str(recorded.causation_id) if recorded.causation_id else None,
            "payload": {},
            **fields,
        }
    )


def select(rows: Sequence[Row], wanted: Filter) -> list[Row]:
    """The rows the filter lets through, in order."""
    return [row for row in rows if _is_wanted(row, wanted)]


def _is_wanted(row: Row, wanted: Filter) -> bool:
    if not wanted.every_event and not _is_transition(row, wanted.component):
        return False
    if wanted.component and row.component != wanted.component:
        return False
    if wanted.reason and wanted.reason.lower() not in {row.reason.lower(), row.type.lower()}:
        return False
    if wanted.by and wanted.by != row.by:
        return False
    if wanted.since is not None and row.time < wanted.since:
        return False
    return wanted.until is None or row.time <= wanted.until


def _is_transition(row: Row, component: str) -> bool:
    # An event nobody can read may hide a transition: it is always shown.
    if row.unreadable:
        return True
    if component:
        return row.type == ComponentPhaseChanged.__name__
    return row.type == PhaseChanged.__name__ or row.type in ENDINGS


def generations(rows: Sequence[Row]) -> list[int]:
    """Generations that were observed, ascending."""
    return sorted({row.generation for row in rows if row.generation})
