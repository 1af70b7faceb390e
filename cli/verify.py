"""`stackledger verify`: proof that the ledger was not altered, or the first bad event."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import EXIT_FINDING, EXIT_OK
from cli.invocation import Invocation, Namespace, OptionalName, Uid, reads_ledger
from cli.output import Column, Format, counted, note, write_json, write_line, write_table, write_yaml
from cli.replay import chosen_streams, describe_divergence

if TYPE_CHECKING:
    from audit.replay import ReplayReport
    from audit.source import LedgerSource, StreamInfo
    from audit.verification import Fault, StreamReport

_SHORT_HASH = 6


@reads_ledger
def verify(
    run: Invocation,
    name: OptionalName = "",
    namespace: Namespace = None,
    uid: Uid = None,
    every: Annotated[bool, typer.Option("--all", help="Every platform of the ledger.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Replay every decision too.")] = False,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", metavar="FILE", help="Heads kept elsewhere, to compare with.")
    ] = None,
    save_anchor: Annotated[
        Path | None, typer.Option("--save-anchor", metavar="FILE", help="Write the heads, if all is well.")
    ] = None,
) -> int:
    """Prove that the recorded history is whole, unaltered and consistent, or name the first event that is not.

    Recomputes every hash of the chain, looks for gaps and a cut-off end, decodes every event, checks every transition
    against the diagram and every request against its outcome, folds the events and compares with the stored state, and
    checks every document against its digest. Exits 1 if anything does not hold.

    \b
    Examples:
      stackledger verify --all
      stackledger verify prod -n obs --deep
      stackledger verify --bundle prod.slb
      stackledger verify --all --save-anchor heads.jsonl     keep the file elsewhere, then
      stackledger verify --all --anchor heads.jsonl
    """
    from audit.anchors import anchor_lines, read_anchors
    from audit.bundle_file import write_atomically
    from audit.verification import verify_stream

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    anchors = read_anchors(anchor) if anchor else {}
    with run.open() as source:
        streams = chosen_streams(run, source, name, namespace, uid, every=every)
        reports = [verify_stream(source.log, stream.stream_id, anchors.get(stream.stream_id)) for stream in streams]
        outside = [*_bundle_damage(source), *_missing_streams(source, anchors if every else {})]
        replays = [_replay(source, report) for report in reports] if deep else []
        fine = all(report.ok for report in reports) and not outside and all(r is None or r.ok for r in replays)
        if save_anchor and fine:
            write_atomically(save_anchor, anchor_lines(source, streams))
    _print(run, form, streams, reports, replays, outside)
    return EXIT_OK if fine else EXIT_FINDING


def _bundle_damage(source: "LedgerSource") -> list[str]:
    damage = getattr(source.log, "damage", "")
    return [f"{source.label}: {damage}"] if damage else []


def _missing_streams(source: "LedgerSource", anchors: Any) -> list[str]:
    present = set(source.log.stream_ids())
    return [
        f"stream {stream_id}, which the anchor knows, is not in the ledger"
        for stream_id in anchors
        if stream_id not in present
    ]


def _replay(source: "LedgerSource", report: "StreamReport") -> "ReplayReport | None":
    from audit.replay import replay

    # What cannot be read cannot be decided on; the fault itself is reported already.
    if any(fault.check in {"readable", "chain"} for fault in report.faults):
        return None
    events = source.events(report.stream_id)
    return replay(events, stored=source.log.load_state(report.stream_id))


def _print(
    run: Invocation,
    form: Format,
    streams: "list[StreamInfo]",
    reports: "list[StreamReport]",
    replays: "list[ReplayReport | None]",
    outside: list[str],
) -> None:
    if form in {Format.JSON, Format.YAML}:
        documents = [_document(stream, report) for stream, report in zip(streams, reports, strict=True)]
        for document, outcome in zip(documents, replays, strict=False):
            document["replay"] = None if outcome is None else {"ok": outcome.ok, "decisions": outcome.decisions}
        ok = not outside and all(document["ok"] for document in documents)
        ok = ok and all(outcome is None or outcome.ok for outcome in replays)
        (write_json if form is Format.JSON else write_yaml)({"ok": ok, "faults": outside, "streams": documents})
        return
    columns = [Column("PLATFORM"), Column("EVENTS", right=True), Column("CHAIN"), Column("HEAD"), Column("VERDICT")]
    rows = [_cells(stream, report) for stream, report in zip(streams, reports, strict=True)]
    write_table(columns, rows, headers=run.headers, no_color=run.no_color)
    for line in outside:
        write_line(f"BROKEN  {line}")
    _print_details(form, streams, reports, replays)


def _cells(stream: "StreamInfo", report: "StreamReport") -> list[object]:
    chain = "OK" if not any(fault.check in {"chain", "head"} for fault in report.faults) else "BROKEN"
    anchored = f", anchored to {report.anchored_to}" if report.anchored_to and report.ok else ""
    verdict = f"OK{anchored}" if report.ok else _first_fault(report)
    return [stream, report.events, chain, report.head[:_SHORT_HASH], verdict]


def _first_fault(report: "StreamReport") -> str:
    fault = report.faults[0]
    trusted = f"; 1-{report.trusted_to} trusted" if report.trusted_to else ""
    return f"BROKEN at seq {fault.sequence}: {fault.message} [{fault.check}]{trusted}"


def _print_details(
    form: Format,
    streams: "list[StreamInfo]",
    reports: "list[StreamReport]",
    replays: "list[ReplayReport | None]",
) -> None:
    for index, (stream, report) in enumerate(zip(streams, reports, strict=True)):
        if len(report.faults) > 1:
            hint = "" if form is Format.WIDE else "; -o wide lists them"
            note(f"{stream}: {counted(len(report.faults), 'fault')} in stream {report.stream_id}{hint}")
        for fault in report.faults if form is Format.WIDE else ():
            write_line(f"  {stream} seq {fault.sequence} [{fault.check}] {fault.message}")
        for text in report.notes:
            note(f"{stream}: {text}")
        outcome = replays[index] if index < len(replays) else None
        if outcome is not None and outcome.divergence is None:
            write_line(f"{stream}: {counted(outcome.decisions, 'decision')} re-made, 0 differ")
        elif outcome is not None and outcome.divergence is not None:
            for line in describe_divergence(outcome.divergence):
                write_line(f"{stream}: {line}")


def _document(stream: "StreamInfo", report: "StreamReport") -> dict[str, Any]:
    return {
        "namespace": stream.namespace,
        "name": stream.name,
        "uid": report.stream_id,
        "ok": report.ok,
        "events": report.events,
        "lastSequence": report.last_sequence,
        "trustedTo": report.trusted_to,
        "anchoredTo": report.anchored_to,
        "head": report.head,
        "faults": [_fault(fault) for fault in report.faults],
        "notes": list(report.notes),
    }


def _fault(fault: "Fault") -> dict[str, Any]:
    return {"sequence": fault.sequence, "check": fault.check, "message": fault.message}
