"""Read model: what was asked of the cluster, and what came of it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from msgspec.structs import replace
from sqlalchemy import Table

from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.vocabulary import GROUP, KIND, STORED_VERSION
from projections import tables
from projections.contract import Memo, Row

#: More requests than this are never open in one stream; beyond it the oldest stay `open` for good.
OPEN_REQUESTS_MAX = 1000


class ActionOutcome(StrEnum):
    """How a request ended. Stored, and so never renamed."""

    OPEN = "open"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"


class ActionRow(Row, frozen=True, kw_only=True):
    """One request, and its outcome once there is one."""

    table: ClassVar[Table] = tables.actions
    stream_id: str
    #: Stream version of the request, which identifies it.
    sequence: int
    position: int
    namespace: str
    name: str
    #: `Apply`, `Delete`, `AddFinalizer`, `ReleaseFinalizer`
    verb: str
    api_version: str
    kind: str
    object_name: str
    #: "" for an object that belongs to no component.
    component: str
    #: Manifest digest; "" for anything but an apply.
    digest: str
    reason: str
    requested_at: datetime
    outcome: str = ActionOutcome.OPEN.value
    outcome_sequence: int | None = None
    finished_at: datetime | None = None
    duration_seconds: float | None = None
    #: False: the object already was as asked.
    changed: bool | None = None
    #: Error category of a failure.
    category: str = ""
    failure_reason: str = ""
    message: str = ""


class ActionMemo(Memo, frozen=True, kw_only=True, omit_defaults=True):
    """The requests that have no outcome yet, oldest first."""

    open: tuple[ActionRow, ...] = ()


Step = tuple[ActionMemo, Sequence[ActionRow]]


class Actions:
    """One row per request; written again when its outcome is known."""

    name = "actions"
    version = 1
    tables = (tables.actions,)
    memo_type = ActionMemo

    def apply(self, memo: ActionMemo, recorded: RecordedEvent, event: e.Event) -> Step:
        """The row of a request, with its outcome if this event is one. The first outcome of a request counts."""
        if isinstance(event, e.PlatformObserved):
            return replace(memo, namespace=event.namespace, name=event.name), ()
        begun = _REQUESTS.get(type(event))
        if begun is not None:
            return _begin(memo, recorded, begun(memo, event))
        ended = _OUTCOMES.get(type(event))
        return _end(memo, recorded, event, ended) if ended is not None else (memo, ())


def _begin(memo: ActionMemo, recorded: RecordedEvent, asked: dict[str, Any]) -> Step:
    row = ActionRow(
        stream_id=recorded.stream_id,
        sequence=recorded.version,
        position=recorded.position,
        namespace=memo.namespace,
        name=memo.name,
        requested_at=recorded.occurred_at,
        **asked,
    )
    return replace(memo, open=(*memo.open, row)[-OPEN_REQUESTS_MAX:]), (row,)


def _end(memo: ActionMemo, recorded: RecordedEvent, event: Any, ended: Callable[[Any], dict[str, Any]]) -> Step:
    row = next((row for row in memo.open if row.sequence == event.request), None)
    if row is None:
        return memo, ()
    at = recorded.occurred_at
    finished = replace(
        row,
        outcome_sequence=recorded.version,
        finished_at=at,
        duration_seconds=(at - row.requested_at).total_seconds(),
        **ended(event),
    )
    return replace(memo, open=tuple(other for other in memo.open if other is not row)), (finished,)


def _asked(verb: str, ref: e.ObjectRef, component: str | None, digest: str, reason: str) -> dict[str, Any]:
    return {
        "verb": verb,
        "api_version": ref.api_version,
        "kind": ref.kind,
        "object_name": ref.name,
        "component": component or "",
        "digest": digest,
        "reason": reason,
    }


def _apply_requested(_: ActionMemo, event: e.ApplyRequested) -> dict[str, Any]:
    return _asked("Apply", event.ref, event.component, event.digest, event.reason)


def _delete_requested(_: ActionMemo, event: e.DeleteRequested) -> dict[str, Any]:
    return _asked("Delete", event.ref, event.component, "", event.reason)


def _finalizer_add_requested(memo: ActionMemo, _: e.FinalizerAddRequested) -> dict[str, Any]:
    return _asked("AddFinalizer", _platform(memo), None, "", "")


def _finalizer_release_requested(memo: ActionMemo, _: e.FinalizerReleaseRequested) -> dict[str, Any]:
    return _asked("ReleaseFinalizer", _platform(memo), None, "", "")


def _platform(memo: ActionMemo) -> e.ObjectRef:
    return e.ObjectRef(f"{GROUP}/{STORED_VERSION}", KIND, memo.name)


def _succeeded(event: e.Outcome) -> dict[str, Any]:
    return {"outcome": ActionOutcome.SUCCEEDED.value, "changed": getattr(event, "changed", True)}


def _failed(event: e.ActionFailed) -> dict[str, Any]:
    return {
        "outcome": ActionOutcome.FAILED.value,
        "category": event.category.value,
        "failure_reason": event.reason,
        "message": event.message,
    }


def _superseded(_: e.RequestSuperseded) -> dict[str, Any]:
    return {"outcome": ActionOutcome.SUPERSEDED.value}


_REQUESTS: dict[type[e.Event], Callable[[ActionMemo, Any], dict[str, Any]]] = {
    e.ApplyRequested: _apply_requested,
    e.DeleteRequested: _delete_requested,
    e.FinalizerAddRequested: _finalizer_add_requested,
    e.FinalizerReleaseRequested: _finalizer_release_requested,
}
_OUTCOMES: dict[type[e.Event], Callable[[Any], dict[str, Any]]] = {
    e.ActionSucceeded: _succeeded,
    e.ActionFailed: _failed,
    e.DriftCorrected: _succeeded,
    e.FinalizerAdded: _succeeded,
    e.FinalizerReleased: _succeeded,
    e.RequestSuperseded: _superseded,
}
