"""`stackledger show`: a platform as it was at a point in its history."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.invocation import Invocation, Name, Namespace, Uid, current_time, reads_ledger
from cli.output import Column, Format, clock_time, instant, note, write_json, write_line, write_table, write_yaml

if TYPE_CHECKING:
    from eventstore.envelope import RecordedEvent
    from eventstore.vocabulary import ComponentName
    from projections.state import ComponentState, PlatformState

_COLUMNS = (
    Column("COMPONENT"),
    Column("PHASE"),
    Column("DESIRED"),
    Column("RUNNING"),
    Column("READY", right=True),
    Column("SINCE", optional=True),
    Column("NOTE"),
)
_CONDITIONS_SHOWN = ("Ready", "Available", "Progressing", "Degraded", "Stalled", "Paused")


@reads_ledger
def show(
    run: Invocation,
    name: Name,
    namespace: Namespace = None,
    uid: Uid = None,
    at: Annotated[str, typer.Option("--at", metavar="POINT", help="Sequence, time, -1h, gen:2 or live.")] = "live",
    spec: Annotated[bool, typer.Option("--spec", help="The spec as it was (secrets redacted), as YAML.")] = False,
) -> int:
    """Show a platform as it was: at a time, an event, a generation, or now.

    POINT is a sequence (17), a time (2026-11-23T10:18:00Z; 10:18 is the newest such minute, UTC), a time ago (-1h,
    90s), gen:2 (the last moment of a generation) or live.

    \b
    Examples:
      stackledger show prod -n obs --at 10:18
      stackledger show prod --at -1h -o yaml        .status as it was
      stackledger show prod --at gen:2 --spec
    """
    from audit.time_travel import next_event, parse_point, state_after, version_at
    from reconciler.core.status import status

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    now = current_time()
    point = parse_point(at, now)
    with run.open() as source:
        stream = source.resolve(name, namespace, uid)
        events = source.events(stream.stream_id)
        version = version_at(events, point)
        state = state_after(events, version)
    recorded = next(event for event in events if event.version == version)
    document: dict[str, Any] = status(state, recorded.hash.hex())
    if spec:
        _write_document(state.observed.spec if state.observed else {}, form)
    elif form in {Format.JSON, Format.YAML}:
        _write_document(document, form)
    else:
        note(_heading(state, recorded, next_event(events, version), document))
        _print_components(run, form, state, document)
    return 0


def _write_document(document: Any, form: Format) -> None:
    (write_json if form is Format.JSON else write_yaml)(document)


def _heading(
    state: "PlatformState", recorded: "RecordedEvent", later: "RecordedEvent | None", document: dict[str, Any]
) -> str:
    follows = f"next event {clock_time(later.occurred_at, recorded.occurred_at)}" if later else "the newest event"
    shown = [c for c in document.get("conditions", []) if c["type"] in _CONDITIONS_SHOWN]
    conditions = " ".join(f"{condition['type']}={condition['status']}" for condition in shown)
    phase = state.phase or "(no phase yet)"
    when = instant(recorded.occurred_at)
    return f"{state.name or state.stream_id} @ seq {state.version} ({when}; {follows})   {phase}   {conditions}"


def _print_components(run: Invocation, form: Format, state: "PlatformState", document: dict[str, Any]) -> None:
    names = [name for name, _ in in_order(state)]
    # What needs a look comes in full; a row of healthy components says no more than their number.
    quiet = [] if form is Format.WIDE else [name for name in names if _is_quiet(state, name)]
    hidden = quiet if len(names) > len(quiet) else quiet[:0]
    rows = [_cells(state, name) for name in names if name not in hidden]
    write_table(_COLUMNS, rows, headers=run.headers, no_color=run.no_color)
    if hidden:
        note(f"({len(hidden)} more Ready; -o wide)")
    for condition in document.get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] != "True":
            write_line(f"{condition['reason']}: {condition['message']}")


def _is_quiet(state: "PlatformState", name: str) -> bool:
    component = state.components[name]
    return component.phase == "Ready" and not component.problems and component.unready_since is None


def _cells(state: "PlatformState", name: str) -> Sequence[object]:
    component = state.components[name]
    today: datetime = state.updated_at or component.phase_since
    return (
        name,
        component.phase,
        component.desired_version or "-",
        component.running_version or "-",
        f"{component.ready_replicas}/{component.desired_replicas}",
        clock_time(component.phase_since, today),
        component_note(state, name),
    )


def in_order(state: "PlatformState") -> "list[tuple[ComponentName, ComponentState]]":
    """The components in the order in which they are installed; a stored state has them by name."""
    from eventstore.vocabulary import INSTALL_ORDER

    return [(name, state.components[name]) for name in INSTALL_ORDER if name in state.components]


def component_note(state: "PlatformState", name: str) -> str:
    """Why a component is not well, and what happens next; "" if it is."""
    component = state.components[name]
    parts = []
    retry = state.retry
    concerns = state.failure is not None and state.failure.component in {None, name}
    if concerns and retry.due_at is not None and state.updated_at is not None:
        due = clock_time(retry.due_at, state.updated_at)
        kind = "looks again" if retry.probe else f"retry {retry.attempt}/{state.policy.retries_max} due"
        parts.append(f"{kind} {due}")
    parts += [f"{problem.subject} {problem.reason}: {problem.message}".strip(": ") for problem in component.problems]
    if not component.problems and component.phase == "Failed":
        parts.append(f"{component.reason}: {component.message}".rstrip(": "))
    return "; ".join(parts)
