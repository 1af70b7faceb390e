"""What is new after a command, as lines: events, then the state that changed, then the plan."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from cli.output import Column, clock_time, write_coloured, write_table
from cli.sim_tape import Answer, NewRow
from simulator.clock import START
from simulator.session_view import ComponentView, OperatorView, PlanView, PlatformView, SessionView

#: Events that come by the dozen, one for each object: several in a row are one line.
_BY_OBJECT = {
    "ApplyRequested": "reason",
    "DeleteRequested": "reason",
    "ActionSucceeded": "",
    "ChildFound": "",
    "ChildGone": "",
    "RequestSuperseded": "",
}
#: Before a command that was taken back.
UNDONE = "undone: "
_NAMED_MAX = 3
_WIDTH = 110
_COLUMNS = (Column("TIME"), Column("SEQ", right=True), Column("EVENT"), Column("WHAT"))


def tell(answer: Answer, *, no_color: bool = False) -> None:
    """Print an answer."""
    for line in answer.said:
        # A command that was typed is no state of anything.
        write_coloured(line, no_color=no_color or line.startswith(UNDONE))
    if answer.quiet:
        for stream_id, view in answer.after.platforms.items():
            if _headline(answer.before.platforms.get(stream_id)) != _headline(view):
                write_coloured(_headline(view), no_color=no_color)
        return
    if answer.rows:
        several = len({row.platform for row in answer.rows} | {one.name for one in answer.after.platforms.values()}) > 1
        write_table(_COLUMNS, _event_rows(answer.rows, several=several), headers=False, no_color=no_color)
    for line in changes(answer.before, answer.after):
        write_coloured(line, no_color=no_color)


def when(at: datetime | None) -> str:
    """`09:00:12`; with the date if that is another day than the first."""
    return clock_time(at, START)


# -- events --------------------------------------------------------------------------------------------------------


def _event_rows(rows: Sequence[NewRow], *, several: bool) -> Iterator[Sequence[object]]:
    for _, group in groupby(enumerate(rows), key=_alike):
        members = [new for _, new in group]
        first, last = members[0].row, members[-1].row
        sequence = f"{first.sequence}" if first is last else f"{first.sequence}-{last.sequence}"
        kind = first.type if first is last else f"{first.type} x{len(members)}"
        what = _words(members)
        yield (when(first.time), sequence, kind, f"{members[0].platform}: {what}" if several else what)


def _alike(numbered: tuple[int, NewRow]) -> object:
    index, (new) = numbered
    if new.row.type not in _BY_OBJECT:
        return index
    alike = (new.row.payload.get(_BY_OBJECT[new.row.type]), new.row.payload.get("changed"))
    return new.platform, new.row.type, alike, when(new.row.time)


def _words(members: Sequence[NewRow]) -> str:
    row = members[0].row
    if row.type not in _BY_OBJECT:
        return row.summary
    names = [f"{new.row.payload['ref']['kind']}/{new.row.payload['ref']['name']}" for new in members]
    unchanged = " unchanged" if row.payload.get("changed") is False else ""
    reason = str(row.payload.get(_BY_OBJECT[row.type], "")) if _BY_OBJECT[row.type] else ""
    return f"{reason} {listed(names)}{unchanged}".strip()


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - _NAMED_MAX
    return ", ".join(names[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


# -- state ---------------------------------------------------------------------------------------------------------


def changes(before: SessionView, after: SessionView) -> Iterator[str]:
    """What is otherwise than before, line by line."""
    if before.operators != after.operators:
        yield f"operator  {'; '.join(map(_operator, after.operators)) or 'none is running'}"
    for stream_id, platform in after.platforms.items():
        yield from _platform_changes(before.platforms.get(stream_id), platform)


def _operator(view: OperatorView) -> str:
    if view.back_at is not None:
        return f"{view.name} {view.how} until {when(view.back_at)}"
    return f"{view.name} {view.how}" + (f", epoch {view.epoch}" if view.epoch else "")


def _headline(view: PlatformView | None) -> str:
    if view is None:
        return ""
    return f"{view.name}  gone" if view.closed else f"{view.name}  {view.phase or '(no phase yet)'}  {view.reason}"


def _platform_changes(before: PlatformView | None, after: PlatformView) -> Iterator[str]:
    if after.closed:
        if _headline(before) != _headline(after):
            yield _headline(after)
        return
    lines = [
        *_component_lines(before.components if before else {}, after.components),
        *_condition_lines(before, after),
        *_plan_lines(before.plan if before else None, after.plan),
    ]
    if lines or _headline(before) != _headline(after):
        yield _headline(after)
        yield from (f"  {line}" for line in lines)


def _component_lines(before: dict[str, ComponentView], after: dict[str, ComponentView]) -> Iterator[str]:
    width = max(map(len, after), default=0)
    for name, component in after.items():
        if before.get(name) != component:
            problems = f"  {', '.join(component.problems)}" if component.problems else ""
            yield f"{name:<{width}}  {component.phase:<10}  {component.version}  {component.replicas}{problems}"
    yield from (f"{name:<{width}}  removed" for name in before if name not in after)


def _condition_lines(before: PlatformView | None, after: PlatformView) -> Iterator[str]:
    old = before.conditions if before else {}
    changed = [
        f"{kind}={one.status}/{one.reason}"
        for kind, one in after.conditions.items()
        if kind not in old or (old[kind].status, old[kind].reason) != (one.status, one.reason)
    ]
    yield from _wrapped([*changed, *(f"{kind}=gone" for kind in old if kind not in after.conditions)])
    ready = after.conditions.get("Ready")
    if ready is not None and ready.status != "True" and ready.message != getattr(old.get("Ready"), "message", ""):
        yield f'"{ready.message}"'


def _wrapped(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > _WIDTH:
            yield line
            line = ""
        line = f"{line}  {word}" if line else word
    if line:
        yield line


# -- plan ----------------------------------------------------------------------------------------------------------


def _plan_lines(before: PlanView | None, after: PlanView) -> Iterator[str]:
    words = plan_words(after)
    if before is None or plan_words(before) != words:
        yield f"plan: {words}"


def plan_words(plan: PlanView) -> str:
    """What is due, what is waited for, and until when."""
    parts = []
    if plan.due:
        parts.append(f"due: {listed(plan.due)}")
    for on, subjects in plan.waiting_for.items():
        parts.append(f"waits for {on}" + (f" ({listed(subjects)})" if subjects else ""))
    if plan.retry_at is not None:
        kind = f"retry {plan.retry}/{plan.retries_max} is due" if plan.retry else "looks again"
        parts.append(f"{kind} {when(plan.retry_at)}")
    if plan.next_at is not None and plan.next_at != plan.retry_at:
        parts.append(f"next look {when(plan.next_at)}")
    return "; ".join(parts) or "nothing is due"
