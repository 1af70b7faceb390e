"""`stackledger status`: all platforms as a table, or one as a page."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.invocation import Invocation, Namespace, OptionalName, Uid, current_time, reads_ledger
from cli.output import Column, Format, instant, length, note, write_json, write_line, write_table, write_yaml
from cli.show import component_note, in_order

if TYPE_CHECKING:
    from audit.source import LedgerSource, StreamInfo
    from projections.state import PlatformState

_COLUMNS = [
    Column("NAMESPACE"),
    Column("NAME"),
    Column("READY"),
    Column("PHASE"),
    Column("COMPONENTS", right=True, optional=True),
    Column("REASON"),
    Column("AGE", optional=True),
    Column("SEQ", right=True, optional=True),
]
_WIDE_COLUMNS = [*_COLUMNS, Column("PAUSED"), Column("UID"), Column("MESSAGE")]


@reads_ledger
def status(
    run: Invocation,
    name: OptionalName = "",
    namespace: Namespace = None,
    uid: Uid = None,
    include_closed: Annotated[bool, typer.Option("--all", "-a", help="Deleted platforms too.")] = False,
) -> int:
    """Show all platforms as a table, or one platform as a page, as the ledger knows them.

    \b
    Examples:
      stackledger status --state-dir ./state
      stackledger status prod -n obs
      stackledger status -o json | jq -r '.platforms[] | select(.phase == "Failed") | .name'
    """
    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML, Format.NAME)
    with run.open() as source:
        if name or uid:
            stream = source.resolve(name, namespace, uid)
            _page(run, form, source, stream)
        else:
            _overview(run, form, source, source.streams(namespace, include_closed=include_closed))
    return 0


def _live_state(source: "LedgerSource", stream: "StreamInfo") -> "PlatformState":
    """The state as of the newest event: the stored one if this build folded it, otherwise folded here."""
    import msgspec

    from projections.platform import fold, initial
    from projections.state import FOLD_VERSION, PlatformState

    stored = source.log.load_state(stream.stream_id)
    state = initial(stream.stream_id)
    if stored is not None and stored.record.fold_version == FOLD_VERSION:
        try:
            state = msgspec.json.decode(stored.record.state, type=PlatformState)
        except msgspec.MsgspecError:
            note(
                f"{stream}: the stored state does not decode; folded from the events. Next: stackledger verify {stream}"
            )
    return fold(state, source.events(stream.stream_id, state.version))


def _document(source: "LedgerSource", stream: "StreamInfo", state: "PlatformState") -> dict[str, Any]:
    from reconciler.core.status import status as status_of

    rendered = status_of(state, source.log.stream_head(stream.stream_id)[1].hex())
    ready: dict[str, str] = next((c for c in rendered.get("conditions", []) if c["type"] == "Ready"), {})
    return {
        "namespace": stream.namespace,
        "name": stream.name,
        "uid": stream.stream_id,
        "ready": ready.get("status", "Unknown"),
        "phase": rendered.get("phase", ""),
        "componentsReady": rendered.get("componentsReady", ""),
        "reason": ready.get("reason", ""),
        "message": ready.get("message", ""),
        "createdAt": instant(state.created_at),
        "sequence": state.version,
        "paused": state.paused,
        "deleting": state.deletion_requested_at is not None and not state.closed,
        "closed": state.closed,
        "status": rendered,
    }


def _overview(run: Invocation, form: Format, source: "LedgerSource", streams: list["StreamInfo"]) -> None:
    if form is Format.NAME:
        for stream in streams:
            write_line(str(stream))
        return
    documents = [_readable_document(source, stream) for stream in streams]
    if form in {Format.JSON, Format.YAML}:
        (write_json if form is Format.JSON else write_yaml)({"platforms": documents})
        return
    now = current_time()
    wide = form is Format.WIDE
    rows = [_cells(document, now, wide=wide) for document in documents]
    if not rows:
        elsewhere = source.streams(None, include_closed=True)
        if elsewhere:
            note(f"None here; {source.label} holds {', '.join(map(str, elsewhere[:5]))} (deleted ones: --all)")
        else:
            note(f"No platforms in {source.label}. Create one: kubectl apply -f examples/minimal.yaml")
        return
    write_table(_WIDE_COLUMNS if wide else _COLUMNS, rows, headers=run.headers, no_color=run.no_color)


def _readable_document(source: "LedgerSource", stream: "StreamInfo") -> dict[str, Any]:
    from eventstore.errors import CorruptEventError, UnknownEventError

    try:
        return _document(source, stream, _live_state(source, stream))
    except (CorruptEventError, UnknownEventError) as error:
        # One stream that cannot be read must not hide the others.
        return {
            "namespace": stream.namespace,
            "name": stream.name,
            "uid": stream.stream_id,
            "ready": "Unknown",
            "phase": stream.phase,
            "componentsReady": "",
            "reason": "HistoryUnreadable",
            "message": str(error),
            "createdAt": "-",
            "sequence": stream.version,
            "paused": False,
            "deleting": False,
            "closed": stream.closed,
            "status": {},
        }


def _cells(document: dict[str, Any], now: datetime, *, wide: bool) -> list[object]:
    phase = "Deleted" if document["closed"] else document["phase"] or "-"
    cells: list[object] = [
        document["namespace"],
        document["name"],
        document["ready"],
        phase,
        document["componentsReady"] or "-",
        "Deleting" if document["deleting"] else document["reason"] or "-",
        _age(document["createdAt"], now),
        document["sequence"],
    ]
    return [*cells, document["paused"], document["uid"], document["message"]] if wide else cells


def _age(created_at: str, now: datetime) -> str:
    if created_at == "-":
        return "-"
    return length(int((now - datetime.fromisoformat(created_at)).total_seconds()))


def _page(run: Invocation, form: Format, source: "LedgerSource", stream: "StreamInfo") -> None:
    state = _live_state(source, stream)
    document = _document(source, stream, state)
    if form is Format.NAME:
        write_line(str(stream))
        return
    if form in {Format.JSON, Format.YAML}:
        (write_json if form is Format.JSON else write_yaml)(document)
        return
    _print_summary(document, state, current_time())
    _section("Conditions")
    write_table(
        [Column("TYPE"), Column("STATUS"), Column("REASON"), Column("SINCE", optional=True), Column("MESSAGE")],
        [
            (c["type"], c["status"], c["reason"], c.get("lastTransitionTime") or "-", c["message"])
            for c in document["status"].get("conditions", [])
        ],
        headers=run.headers,
        no_color=run.no_color,
    )
    _print_components(run, state)
    _print_history(run, state)
    place = f"{stream.name} -n {stream.namespace}"
    note(f"More: stackledger history {place} · stackledger explain-why {place} · stackledger verify {place}")


def _section(title: str) -> None:
    write_line()
    write_line(title)


def _print_summary(document: dict[str, Any], state: "PlatformState", now: datetime) -> None:
    lines = [
        ("Platform", f"{document['namespace']}/{document['name']}"),
        ("Uid", document["uid"]),
        (
            "Phase",
            f"{document['phase'] or '-'}{' (deleted)' if state.closed else ''}, since {instant(state.phase_since)}",
        ),
        ("Ready", f"{document['ready']}  {document['reason']}"),
        ("Components", f"{document['componentsReady'] or '-'} ready"),
        ("Generation", state.observed.generation if state.observed else "-"),
        ("Created", f"{document['createdAt']} ({_age(document['createdAt'], now)} ago)"),
        ("Ledger", f"seq {state.version}, head {document['status'].get('ledger', {}).get('headHash', '')[:12] or '-'}"),
    ]
    if state.known_good is not None:
        good = state.known_good
        lines.append(("Known good", f"generation {good.spec.generation}, seq {good.sequence}"))
    if state.paused:
        lines.append(("Paused", "yes: observed and recorded, no writes"))
    if state.rolled_back:
        lines.append(("Rolled back", state.rollback_message))
    if state.retry.due_at is not None:
        retry = state.retry
        kind = "slow probe" if retry.probe else f"retry {retry.attempt} of {state.policy.retries_max}"
        lines.append(("Next try", f"{instant(retry.due_at)} ({kind}): {retry.reason}: {retry.message}"))
    for title, value in lines:
        write_line(f"{title + ':':<13}{value}")


def _print_components(run: Invocation, state: "PlatformState") -> None:
    _section("Components")
    columns = [Column("NAME"), Column("PHASE"), Column("READY", right=True), Column("DESIRED"), Column("RUNNING")]
    rows = [
        (
            name,
            component.phase,
            f"{component.ready_replicas}/{component.desired_replicas}",
            component.desired_version or "-",
            component.running_version or "-",
            instant(component.phase_since),
            component_note(state, name),
        )
        for name, component in in_order(state)
    ]
    columns += [Column("SINCE", optional=True), Column("NOTE")]
    write_table(columns, rows, headers=run.headers, no_color=run.no_color)


def _print_history(run: Invocation, state: "PlatformState") -> None:
    _section("Last transitions (newest first)")
    write_table(
        [Column("SEQ", right=True), Column("TIME"), Column("TRANSITION"), Column("REASON"), Column("MESSAGE")],
        [
            (t.sequence, instant(t.at), f"{t.from_phase or '—'} → {t.to_phase}", t.reason, t.message)
            for t in state.history
        ],
        headers=run.headers,
        no_color=run.no_color,
    )
