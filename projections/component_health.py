"""Read model: how each component is now, and which phases and versions it went through."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Table

from eventstore import events as e
from eventstore.envelope import RecordedEvent
from projections import tables
from projections.contract import Memo, Row


class ComponentHealthRow(Row, frozen=True, kw_only=True):
    """One component of one platform, as it is now, or as it was when it went."""

    table: ClassVar[Table] = tables.component_health
    stream_id: str
    component: str
    #: Stream version and position of the newest event that changed this row.
    sequence: int
    position: int
    namespace: str
    name: str
    #: None: seen or asked for, but in no phase yet.
    phase: str | None = None
    since: datetime | None = None
    reason: str = ""
    message: str = ""
    desired_version: str = ""
    running_version: str = ""
    desired_replicas: int = 0
    ready_replicas: int = 0
    #: JSON: a list of `Problem`.
    problems: str = "[]"
    #: When its workload was last seen to change.
    observed_at: datetime | None = None
    #: When it was removed, or its platform was.
    gone_at: datetime | None = None


class ComponentTransitionRow(Row, frozen=True, kw_only=True):
    """One phase change of a component, or its removal (`to_phase` None)."""

    table: ClassVar[Table] = tables.component_history
    stream_id: str
    sequence: int
    position: int
    namespace: str
    name: str
    component: str
    from_phase: str | None
    to_phase: str | None
    reason: str
    message: str
    #: Version that is being brought up or runs.
    version: str
    occurred_at: datetime
    recorded_at: datetime
    #: Since the component's phase change before it; None for the first.
    took_seconds: float | None


class ComponentMemo(Memo, frozen=True, kw_only=True, omit_defaults=True):
    """The current row of each component."""

    components: dict[str, ComponentHealthRow] = msgspec.field(default_factory=dict)


Step = tuple[ComponentMemo, Sequence[Row]]


class ComponentHealth:
    """A current row per component, and a row per phase change; both stay when the platform is deleted."""

    name = "component_health"
    version = 1
    tables = (tables.component_health, tables.component_history)
    memo_type = ComponentMemo

    def apply(self, memo: ComponentMemo, recorded: RecordedEvent, event: e.Event) -> Step:
        """The rows of the components this event is about."""
        applier = _APPLIERS.get(type(event))
        return applier(memo, recorded, event) if applier else (memo, ())


def _changed(memo: ComponentMemo, recorded: RecordedEvent, component: str, **changes: Any) -> ComponentHealthRow:
    place: dict[str, Any] = {"sequence": recorded.version, "position": recorded.position}
    was = memo.components.get(component)
    if was is not None:
        return replace(was, **place, **changes)
    return ComponentHealthRow(
        stream_id=recorded.stream_id,
        component=component,
        namespace=memo.namespace,
        name=memo.name,
        **place,
        **changes,
    )


def _with(memo: ComponentMemo, rows: Sequence[ComponentHealthRow], *history: ComponentTransitionRow) -> Step:
    current = {**memo.components, **{row.component: row for row in rows}}
    return replace(memo, components=current), (*rows, *history)


def _platform_observed(memo: ComponentMemo, _: RecordedEvent, event: e.PlatformObserved) -> Step:
    return replace(memo, namespace=event.namespace, name=event.name), ()


def _spec_accepted(memo: ComponentMemo, recorded: RecordedEvent, event: e.SpecAccepted) -> Step:
    wanted = sorted(event.versions.items())
    return _with(memo, [_changed(memo, recorded, name, desired_version=version) for name, version in wanted])


def _component_observed(memo: ComponentMemo, recorded: RecordedEvent, event: e.ComponentObserved) -> Step:
    row = _changed(
        memo,
        recorded,
        event.component.value,
        running_version=event.running_version,
        desired_replicas=event.desired_replicas,
        ready_replicas=event.ready_replicas,
        problems=msgspec.json.encode(event.problems, order="sorted").decode(),
        observed_at=recorded.occurred_at,
    )
    return _with(memo, [row])


def _component_phase_changed(memo: ComponentMemo, recorded: RecordedEvent, event: e.ComponentPhaseChanged) -> Step:
    was = memo.components.get(event.component.value)
    row = _changed(
        memo,
        recorded,
        event.component.value,
        phase=event.to_phase.value,
        since=recorded.occurred_at,
        reason=event.reason,
        message=event.message,
        desired_version=event.version or (was.desired_version if was else ""),
        gone_at=None,
    )
    return _with(memo, [row], _history(recorded, row, was, event.from_phase, event.to_phase))


def _component_removed(memo: ComponentMemo, recorded: RecordedEvent, event: e.ComponentRemoved) -> Step:
    was = memo.components.get(event.component.value)
    row = _changed(memo, recorded, event.component.value, reason="Removed", message="", gone_at=recorded.occurred_at)
    return _with(memo, [row], _history(recorded, row, was, row.phase, None))


def _platform_closed(memo: ComponentMemo, recorded: RecordedEvent, _: e.Event) -> Step:
    left = [name for name, row in memo.components.items() if row.gone_at is None]
    return _with(memo, [_changed(memo, recorded, name, gone_at=recorded.occurred_at) for name in sorted(left)])


def _history(
    recorded: RecordedEvent,
    row: ComponentHealthRow,
    was: ComponentHealthRow | None,
    from_phase: str | None,
    to_phase: str | None,
) -> ComponentTransitionRow:
    at = recorded.occurred_at
    return ComponentTransitionRow(
        stream_id=row.stream_id,
        sequence=row.sequence,
        position=row.position,
        namespace=row.namespace,
        name=row.name,
        component=row.component,
        from_phase=from_phase,
        to_phase=to_phase,
        reason=row.reason,
        message=row.message,
        version=row.desired_version,
        occurred_at=at,
        recorded_at=recorded.recorded_at,
        took_seconds=(at - was.since).total_seconds() if was and was.since else None,
    )


_APPLIERS: dict[type[e.Event], Callable[[ComponentMemo, RecordedEvent, Any], Step]] = {
    e.PlatformObserved: _platform_observed,
    e.SpecAccepted: _spec_accepted,
    e.ComponentObserved: _component_observed,
    e.ComponentPhaseChanged: _component_phase_changed,
    e.ComponentRemoved: _component_removed,
    e.PlatformGone: _platform_closed,
    e.FinalizerReleased: _platform_closed,
}
