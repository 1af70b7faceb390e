"""`stackledger replay`: would this build decide the same?"""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import EXIT_FINDING, EXIT_OK
from cli.invocation import Invocation, Namespace, OptionalName, Uid, current_time, reads_ledger
from cli.output import Format, counted, instant, write_json, write_line, write_yaml

if TYPE_CHECKING:
    from audit.replay import Divergence, ReplayReport
    from audit.source import LedgerSource, StreamInfo
    from eventstore.events import Decision


@reads_ledger
def replay(
    run: Invocation,
    name: OptionalName = "",
    namespace: Namespace = None,
    uid: Uid = None,
    every: Annotated[bool, typer.Option("--all", help="Every platform of the ledger.")] = False,
    to: Annotated[
        str,
        typer.Option("--to", metavar="POINT", help="Play no pass that begins after it: sequence, time, gen:2, live."),
    ] = "live",
) -> int:
    """Replay recorded history through this build's decisions: no cluster, no writes.

    The recorded inputs (what was seen, what came of each action) are folded, every decision is made again at its
    recorded instant, and compared. Names the first sequence at which this build would decide otherwise; exits 1 then.

    \b
    Examples:
      stackledger replay prod -n obs
      stackledger replay prod --to 17
      stackledger replay --bundle prod.slb
      stackledger replay --all -o json          before an upgrade of the operator
    """
    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    with run.open() as source:
        streams = chosen_streams(run, source, name, namespace, uid, every=every)
        outcomes = [(stream, *_replay(source, stream, to)) for stream in streams]
    if form in {Format.JSON, Format.YAML}:
        document = {"platforms": [_document(stream, report) for stream, report, _ in outcomes]}
        (write_json if form is Format.JSON else write_yaml)(document)
    else:
        for stream, report, seconds in outcomes:
            _print(stream, report, seconds)
    return EXIT_OK if all(report.ok for _, report, _ in outcomes) else EXIT_FINDING


def chosen_streams(
    run: Invocation, source: "LedgerSource", name: str, namespace: str | None, uid: str | None, *, every: bool
) -> "list[StreamInfo]":
    """The platform that was named, or all; a bundle stands for all that is in it."""
    from cli.failures import CommandError

    if name or uid:
        return [source.resolve(name, namespace, uid)] if name else _by_uid(source, uid or "")
    if not every and run.ledger.bundle is None:
        raise CommandError("no platform was named", next_step="give its NAME, or --all")
    return source.streams(namespace)


def _by_uid(source: "LedgerSource", uid: str) -> "list[StreamInfo]":
    from audit.errors import NotFoundError

    found = [stream for stream in source.streams() if stream.stream_id.startswith(uid)]
    if not found:
        raise NotFoundError(f"no stream has the uid {uid}")
    return found


def _replay(source: "LedgerSource", stream: "StreamInfo", to: str) -> "tuple[ReplayReport, float]":
    from audit.replay import replay as replay_stream
    from audit.time_travel import Live, parse_point, version_at

    point = parse_point(to, current_time())
    events = source.events(stream.stream_id)
    version = None if isinstance(point, Live) else version_at(events, point)
    started = time.perf_counter()
    report = replay_stream(events, to_version=version, stored=source.log.load_state(stream.stream_id))
    return report, time.perf_counter() - started


def _print(stream: "StreamInfo", report: "ReplayReport", seconds: float) -> None:
    took = f"replayed {counted(report.events, 'event')} in {seconds * 1000:.0f} ms"
    differs = 0 if report.divergence is None else 1
    decided = f"{counted(report.decisions, 'decision')} re-made, {differs} differ"
    write_line(f"{stream}  {took}: state digest {report.state_digest[:18]}… {_stored(report)}; {decided}")
    if report.divergence is not None:
        for line in describe_divergence(report.divergence):
            write_line(line)


def _stored(report: "ReplayReport") -> str:
    if report.divergence is not None:
        return "not compared"
    return {True: "equals stored", False: "DIFFERS from stored", None: "(no stored state to compare)"}[
        report.equals_stored
    ]


def describe_divergence(divergence: "Divergence") -> list[str]:
    """What was recorded and what this build decides, for people."""
    head = f"DIVERGED at seq {divergence.sequence} ({instant(divergence.at)}): "
    if divergence.error:
        return [f"{head}recorded {_decision(divergence.recorded)}", f"  this build cannot decide: {divergence.error}"]
    lines = [
        f"{head}recorded {_decision(divergence.recorded)}",
        f"  this build decides {_decision(divergence.decided)}",
    ]
    if divergence.recorded is not None and type(divergence.recorded) is type(divergence.decided):
        lines += [f"  {field}: {was} → {now}" for field, was, now in _differing(divergence)]
    return lines


def _decision(decision: "Decision | None") -> str:
    from audit.wording import summary

    return f"{type(decision).__name__} {summary(decision)}".rstrip() if decision is not None else "nothing (more)"


def _differing(divergence: "Divergence") -> list[tuple[str, Any, Any]]:
    import msgspec

    was: dict[str, Any] = msgspec.to_builtins(divergence.recorded)
    now: dict[str, Any] = msgspec.to_builtins(divergence.decided)
    return [(key, was.get(key), now.get(key)) for key in {**was, **now} if was.get(key) != now.get(key)]


def _document(stream: "StreamInfo", report: "ReplayReport") -> dict[str, Any]:
    divergence = report.divergence
    return {
        "namespace": stream.namespace,
        "name": stream.name,
        "uid": stream.stream_id,
        "ok": report.ok,
        "events": report.events,
        "passes": report.passes,
        "decisions": report.decisions,
        "stateDigest": report.state_digest,
        "equalsStored": report.equals_stored,
        "divergence": None
        if divergence is None
        else {
            "sequence": divergence.sequence,
            "time": divergence.at,
            "recorded": _payload(divergence.recorded),
            "decided": _payload(divergence.decided),
            "error": divergence.error,
        },
    }


def _payload(decision: "Decision | None") -> dict[str, Any] | None:
    import msgspec

    if decision is None:
        return None
    return {"type": type(decision).__name__, "payload": msgspec.to_builtins(decision)}
