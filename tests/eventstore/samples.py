"""Events and states for the tests of the log; nothing in them matters but that they can be told apart."""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

from eventstore.codec import encode
from eventstore.envelope import NewEvent, StateRecord
from eventstore.events import Event, PlatformObserved
from eventstore.identifiers import uuid7

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PASS = UUID("0195511a-0000-7000-8000-000000000001")


def observed(generation: int = 1, text: str = "") -> PlatformObserved:
    """A resource as it was seen."""
    return PlatformObserved(
        namespace="monitoring",
        name="prod",
        generation=generation,
        spec={"note": text, "components": {"prometheus": {"enabled": True, "replicas": 2}}},
        digest=f"sha256:{generation}",
        field_manager="kubectl",
    )


def new_event(event: Event | None = None, *, actor: str = "kubectl", event_id: UUID | None = None) -> NewEvent:
    """A fresh event with an id of its own."""
    return encode(
        event or observed(),
        event_id=event_id or uuid7(NOON, os.urandom(10)),
        occurred_at=NOON,
        causation_id=None,
        correlation_id=PASS,
        actor=actor,
    )


def new_events(count: int) -> list[NewEvent]:
    """Some fresh events."""
    return [new_event(observed(generation)) for generation in range(1, count + 1)]


def state(phase: str = "Installing", *, due_seconds: float | None = None, closed: bool = False) -> StateRecord:
    """A state record, due some seconds after noon."""
    return StateRecord(
        state=b'{"phase":"' + phase.encode() + b'","note":"\xf0\x9f\x98\x80"}',
        fold_version="1",
        namespace="monitoring",
        name="prod",
        phase=phase,
        due_at=None if due_seconds is None else NOON + timedelta(seconds=due_seconds),
        closed=closed,
    )
