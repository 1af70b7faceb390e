"""`stackledger history`: what happened to a platform, in order."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, Name, Namespace, Uid, current_time, reads_ledger
from cli.output import (
    Column,
    Format,
    counted,
    instant,
    length,
    note,
    write_json,
    write_json_line,
    write_table,
    write_yaml,
)

if TYPE_CHECKING:
    from audit.history import Filter, Row, RowBuilder
    from audit.source import LedgerSource, StreamInfo
    from eventstore.envelope import RecordedEvent

FOLLOW_SECONDS = 2.0
_SHORT_HASH = 6


@reads_ledger
def history(
    run: Invocation,
    name: Name,
    namespace: Namespace = None,
    uid: Uid = None,
    every_event: Annotated[bool, typer.Option("--all", "-a", help="Every event, not only transitions.")] = False,
    component: Annotated[str, typer.Option("--component", "-c", metavar="NAME", help="Only this component's.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="WORD", help="Only this reason or event type.")] = "",
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Only what this actor did.")] = "",
    since: Annotated[str, typer.Option("--since", metavar="WHEN", help="From this time on (10:15, -2h, ...).")] = "",
    until: Annotated[str, typer.Option("--until", metavar="WHEN", help="Up to this time.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the newest N rows.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-w", help="Go on printing what is appended.")] = False,
) -> int:
    """Show what happened to a platform: its transitions, or every event.

    TOOK is the time spent in the phase that was left. HASH is the beginning of the event's hash in the chain.

    \b
    Examples:
      stackledger history prod -n obs --state-dir ./state
      stackledger history prod --all --component grafana --since -2h
      stackledger history prod -o json | jq '.rows[] | select(.reason == "RetriesExhausted")'
      stackledger history prod -w
    """
    from audit.history import Filter, RowBuilder, select

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.JSONL, Format.YAML)
    now = current_time()
    wanted = Filter(
        every_event=every_event,
        component=component,
        reason=reason,
        by=by,
        since=_bound(since, now),
        until=_bound(until, now),
    )
    with run.open() as source:
        stream = source.resolve(name, namespace, uid)
        builder = RowBuilder()
        events = source.events(stream.stream_id)
        every = builder.rows(events)
        rows = select(every, wanted)
        rows = rows[-limit:] if limit else rows
        _print(run, form, stream, rows[::-1] if reverse else rows, every)
        if form in {Format.TABLE, Format.WIDE}:
            note(_footer(stream, every, _chain(events)))
        if follow:
            sys.stdout.flush()
            _follow(run, form, source, stream, builder, wanted, every[-1].sequence if every else 0)
    return 0


def _bound(text: str, now: datetime) -> datetime | None:
    from audit.time_travel import parse_time

    return parse_time(text, now) if text else None


def _print(run: Invocation, form: Format, stream: "StreamInfo", rows: Sequence["Row"], every: Sequence["Row"]) -> None:
    if form is Format.JSONL:
        for row in rows:
            write_json_line(row)
    elif form in {Format.JSON, Format.YAML}:
        document = {
            "namespace": stream.namespace,
            "name": stream.name,
            "uid": stream.stream_id,
            "events": len(every),
            "rows": rows,
        }
        (write_json if form is Format.JSON else write_yaml)(document)
    else:
        _print_table(run, form, rows, headers=run.headers)


def _chain(events: Sequence["RecordedEvent"]) -> str:
    from eventstore.hashing import verify_chain

    fault = verify_chain(events)
    if fault is not None:
        return f"chain BROKEN at seq {fault.version}"
    return f"chain OK to {events[-1].version}" if events else "no chain"


def _footer(stream: "StreamInfo", every: Sequence["Row"], chain: str) -> str:
    transitions = sum(row.type == "PhaseChanged" for row in every)
    place = f"{stream.name} -n {stream.namespace}"
    broken = "BROKEN" in chain or any(row.unreadable for row in every)
    command = "verify" if broken else "explain-why"
    counts = f"{counted(len(every), 'event')}, {counted(transitions, 'transition')}"
    return f"{counts}, {chain}.  Next: stackledger {command} {place}"


def _print_table(run: Invocation, form: Format, rows: Sequence["Row"], *, headers: bool) -> None:
    wide = form is Format.WIDE
    transitions_only = all(_is_change_of_the_whole(row) for row in rows)
    columns = [Column("SEQ", right=True), Column("TIME"), Column("GEN", right=True, optional=True)]
    if transitions_only:
        columns += [Column("TRANSITION"), Column("REASON"), Column("BY", optional=True)]
        columns += [Column("TOOK", optional=True), Column("HASH", optional=True)]
        columns += [Column("MESSAGE")] if wide else []
    else:
        columns += [Column("EVENT"), Column("BY", optional=True), Column("TOOK", optional=True)]
        columns += [Column("HASH", optional=True), Column("WHAT")]
    pad = max((len(row.from_phase) for row in rows), default=0)
    write_table(
        columns,
        [_cells(row, pad, wide=wide, transition=transitions_only) for row in rows],
        headers=headers,
        no_color=run.no_color,
    )


def _cells(row: "Row", pad: int, *, wide: bool, transition: bool) -> list[object]:
    start: list[object] = [row.sequence, instant(row.time), row.generation or "-"]
    end: list[object] = [row.by, length(row.took_seconds), row.hash if wide else row.hash[:_SHORT_HASH]]
    if not transition:
        return [*start, row.type, *end, row.summary]
    change = f"{(row.from_phase or '—').ljust(pad)} → {row.to_phase}" if row.to_phase else _ending(row)
    return [*start, change, row.reason or row.type, *end, *([row.message] if wide else [])]


def _is_change_of_the_whole(row: "Row") -> bool:
    return (bool(row.to_phase) and not row.component) or bool(_ending(row))


def _ending(row: "Row") -> str:
    from audit.history import ENDINGS

    return ENDINGS.get(row.type, "")


def _follow(
    run: Invocation,
    form: Format,
    source: "LedgerSource",
    stream: "StreamInfo",
    builder: "RowBuilder",
    wanted: "Filter",
    version: int,
) -> None:
    """Print new rows until interrupted; a wake-up is a hint, the stream is read again either way."""
    from audit.history import select

    while not run.ledger.bundle:
        source.log.wait_for_append(source.log.head_position(), FOLLOW_SECONDS)
        events = source.events(stream.stream_id, version)
        if not events:
            continue
        version = events[-1].version
        rows = select(builder.rows(events), wanted)
        if form in {Format.TABLE, Format.WIDE}:
            _print_table(run, form, rows, headers=False)
        else:
            for row in rows:
                write_json_line(row)
        sys.stdout.flush()
