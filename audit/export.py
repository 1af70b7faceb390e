"""A platform's history as a file: the bundle for other commands, JSON lines, CSV and CloudEvents for other tools."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from audit.bundle import Bundle, BundleHeader, stream_header
from audit.bundle_file import bundle_lines, event_line
from audit.history import Row, RowBuilder
from audit.source import LedgerSource, StreamInfo
from audit.verification import referenced_digests
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import StoreError
from projections.state import FOLD_VERSION


class ExportFormat(StrEnum):
    """What an export can be written as; only a bundle can be read back."""

    BUNDLE = "bundle"
    JSONL = "jsonl"
    CSV = "csv"
    CLOUDEVENTS = "cloudevents"


#: A cell that begins so is a formula to a spreadsheet; texts from a cluster must not become one.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_CSV_COLUMNS = ("sequence", "time", "generation", "type", "component", "from", "to", "reason", "by", "summary", "hash")


def make_bundle(
    source: LedgerSource,
    streams: Sequence[StreamInfo],
    *,
    exported_at: datetime,
    operator_version: str,
    schema: str = "",
) -> Bundle:
    """Everything other commands need to know about the streams, exactly as stored."""
    headers = []
    events: dict[str, list[RecordedEvent]] = {}
    contents: dict[str, bytes] = {}
    for stream in streams:
        stored = source.log.load_state(stream.stream_id)
        head = source.log.stream_head(stream.stream_id)
        # A live stream grows meanwhile: the bundle ends where its head was read.
        found = source.log.read_stream(stream.stream_id)
        if not stored or stored.version <= head[0]:
            found = [event for event in found if event.version <= head[0]]
        else:
            head = (stored.version, stored.head_hash)
        events[stream.stream_id] = found
        headers.append(stream_header(stream.stream_id, (stream.namespace, stream.name), head, stored))
        contents.update(_contents(source, found))
    header = BundleHeader(
        exported_at=exported_at,
        operator_version=operator_version,
        schema_revision=schema,
        fold_version=FOLD_VERSION,
        streams=tuple(headers),
    )
    return Bundle(header=header, events=events, contents=contents)


def _contents(source: LedgerSource, events: Sequence[RecordedEvent]) -> Iterator[tuple[str, bytes]]:
    for recorded in events:
        try:
            event = decode(recorded)
        except StoreError:
            # Exported all the same: a bundle of a broken stream is what somebody will want to look into.
            continue
        for digest in referenced_digests(event):
            document = source.log.get_content(digest)
            if document is not None:
                yield digest, document


def export_lines(bundle: Bundle, form: ExportFormat) -> Iterator[bytes]:
    """The bundle's events in the form asked for, line by line."""
    match form:
        case ExportFormat.BUNDLE:
            yield from bundle_lines(bundle)
        case ExportFormat.JSONL:
            yield from (_json_line(event) for event in _every(bundle))
        case ExportFormat.CLOUDEVENTS:
            names = {s.stream_id: (s.namespace, s.name) for s in bundle.header.streams}
            yield from (_cloud_event(event, *names[event.stream_id]) for event in _every(bundle))
        case ExportFormat.CSV:
            yield from _csv_lines(bundle)


def _every(bundle: Bundle) -> Iterator[RecordedEvent]:
    for stream in bundle.events.values():
        yield from stream


def _payload_value(event: RecordedEvent) -> Any:
    try:
        return msgspec.json.decode(event.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _json_line(event: RecordedEvent) -> bytes:
    return msgspec.json.encode({**event_line(event), "payload": _payload_value(event)}) + b"\n"


def _cloud_event(event: RecordedEvent, namespace: str, name: str) -> bytes:
    """CloudEvents 1.0, structured JSON; extension names are lower case without separators, as the standard asks."""
    envelope = {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": f"/stackledger/{namespace}/{name}",
        "type": f"io.stackledger.{event.type}",
        "subject": event.stream_id,
        "time": event.occurred_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": str(event.version).zfill(12),
        "correlationid": str(event.correlation_id),
        "actor": event.actor,
        "hash": event.hash.hex(),
        "data": _payload_value(event),
    }
    if event.causation_id:
        envelope["causationid"] = str(event.causation_id)
    return msgspec.json.encode(envelope) + b"\n"


def _csv_lines(bundle: Bundle) -> Iterator[bytes]:
    yield _csv_line(("namespace", "name", "uid", *_CSV_COLUMNS))
    for stream in bundle.header.streams:
        for row in RowBuilder().rows(bundle.events[stream.stream_id]):
            yield _csv_line((stream.namespace, stream.name, stream.stream_id, *_csv_cells(row)))


def _csv_cells(row: Row) -> Iterator[str]:
    fields: dict[str, Any] = msgspec.to_builtins(row)
    yield from (str(fields.get(column) if fields.get(column) is not None else "") for column in _CSV_COLUMNS)


def _csv_line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(
        [f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in cells]
    )
    return buffer.getvalue().encode()
